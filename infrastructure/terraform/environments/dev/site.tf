# What is equal in every environment's root. staging and prod hold links to this file, to versions.tf,
# variables.tf, outputs.tf and the two examples; main.tf alone is each environment's own.

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id] # an apply with another account's credentials stops here

  default_tags {
    tags = {
      owner       = var.owner
      environment = local.environment
      cost_centre = var.cost_centre
    }
  }
}

# Drawn anew at every plan, stored when secret_version is raised, and in no plan and no state. Here and not in
# a module, because the mock providers of Terraform 1.11 refuse ephemeral resources: modules take passwords as
# ephemeral variables, and their tests make some up.
ephemeral "aws_secretsmanager_random_password" "this" {
  for_each = toset(["dagster", "mlflow", "run_signing_key"])

  password_length     = 40
  exclude_punctuation = true # they stand in addresses of databases and in variables
}

locals {
  site = {
    region                   = var.region
    account_id               = var.account_id
    owner                    = var.owner
    cost_centre              = var.cost_centre
    administrator_role_arn   = var.administrator_role_arn
    approver_principal_arn   = var.approver_principal_arn
    zones                    = var.zones
    cidr                     = var.cidr
    https_egress_cidrs       = var.https_egress_cidrs
    allowed_cidrs            = var.allowed_cidrs
    hosts                    = var.hosts
    certificate_arn          = var.certificate_arn
    oidc                     = var.oidc
    people                   = var.people
    image_tag                = var.image_tag
    notification_email       = var.notification_email
    github_repository        = var.github_repository
    github_oidc_provider_arn = var.github_oidc_provider_arn
    state                    = var.state
    replication              = var.replication
  }

  passwords = { for name, drawn in ephemeral.aws_secretsmanager_random_password.this : name => drawn.random_password }
}
