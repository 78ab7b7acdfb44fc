"""Jobs and sensors about decisions; what is decided and how is in ``interlock.actions``."""
