# Passwords that Terraform makes, hands on once and forgets: they are in no plan and no state. Who stores
# one does so in a write-only argument with a version, so what is drawn at later plans is never used.
#
# A module of its own because Terraform's mock providers refuse ephemeral resources (hashicorp/terraform
# issue 38608): modules take passwords as ephemeral variables, and their tests give them some.

ephemeral "aws_secretsmanager_random_password" "this" {
  for_each = var.names

  password_length     = 40
  exclude_punctuation = true # they stand in addresses of databases and in variables
}
