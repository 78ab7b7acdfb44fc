# staging: built as prod is, smaller. What breaks there breaks here first.

terraform {
  backend "s3" {
    key          = "interlock/staging.tfstate"
    use_lockfile = true
    encrypt      = true
  }
}

locals {
  environment = "staging"
}

module "stack" {
  source = "../../modules/stack"

  environment    = local.environment
  site           = local.site
  passwords      = local.passwords
  secret_version = var.secret_version

  retention_days     = 90 # a quarter: the record of a release outlives the review of that release
  log_retention_days = 90
  nat_gateways       = 1

  settings = { IDENTITY_SOURCE = "oidc-proxy", RUN_ROLE = "ml_engineer" }

  database = { min_capacity = 0.5, max_capacity = 8, instances = 2, backup_retention_days = 7 }
  run      = { cpu = 2048, memory = 8192, storage = 50, max_concurrent = 10 }
  sizes = {
    code-server       = { cpu = 1024, memory = 4096, min = 1, max = 2 }
    dagster-webserver = { cpu = 512, memory = 1024, min = 1, max = 2 }
    dagster-daemon    = { cpu = 512, memory = 1024 }
    mlflow            = { cpu = 1024, memory = 2048, min = 1, max = 2 }
    console           = { cpu = 256, memory = 1024 }
    dagster-exporter  = { cpu = 256, memory = 512 }
    drift-monitor     = { cpu = 512, memory = 2048 }
  }
  max_vcpus = 64
}
