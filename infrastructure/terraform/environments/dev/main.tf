# dev: the cheapest that works. One task of everything, one database instance, all of it removable.

terraform {
  backend "s3" {
    key          = "interlock/dev.tfstate"
    use_lockfile = true
    encrypt      = true
  }
}

locals {
  environment = "dev"
}

module "stack" {
  source = "../../modules/stack"

  environment    = local.environment
  site           = local.site
  passwords      = local.passwords
  secret_version = var.secret_version

  retention_days      = 1 # the least that S3 offers: a day later everything can be removed
  log_retention_days  = 30
  deletion_protection = false
  nat_gateways        = 1 # for public images and data sources

  settings = { IDENTITY_SOURCE = "oidc-proxy", RUN_ROLE = "ml_engineer" }

  database = { min_capacity = 0.5, max_capacity = 2, instances = 1, backup_retention_days = 1 }
  run      = { cpu = 1024, memory = 4096, storage = 30, max_concurrent = 4 }
  sizes = {
    code-server       = { cpu = 512, memory = 2048 }
    dagster-webserver = { cpu = 256, memory = 1024 }
    dagster-daemon    = { cpu = 256, memory = 1024 }
    mlflow            = { cpu = 512, memory = 2048 }
    console           = { cpu = 256, memory = 1024 }
    dagster-exporter  = { cpu = 256, memory = 512 }
    drift-monitor     = { cpu = 256, memory = 1024 }
  }
  max_vcpus = 16
}
