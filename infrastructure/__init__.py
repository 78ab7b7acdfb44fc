"""What checks the AWS target: programs that people and continuous integration call.

The target itself is in ``terraform/``. Nothing here runs in production, and the product imports
nothing from here.
"""
