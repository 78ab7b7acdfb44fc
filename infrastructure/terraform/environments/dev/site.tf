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

# Drawn anew at every plan, used when secret_version is raised.
module "passwords" {
  source = "../../modules/passwords"

  names = ["dagster", "mlflow", "run_signing_key"]
}

locals {
  site = {
    region                   = var.region
    account_id               = var.account_id
    owner                    = var.owner
    cost_centre              = var.cost_centre
    administrator_role_arn   = var.administrator_role_arn
    approver_principal_arn   = var.approver_principal_arn
    cidr                     = var.cidr
    https_egress_cidrs       = var.https_egress_cidrs
    allowed_cidrs            = var.allowed_cidrs
    hosts                    = var.hosts
    certificate_arn          = var.certificate_arn
    oidc                     = var.oidc
    image_tag                = var.image_tag
    notification_email       = var.notification_email
    github_repository        = var.github_repository
    github_oidc_provider_arn = var.github_oidc_provider_arn
    state                    = var.state
    replication              = var.replication
  }
}
