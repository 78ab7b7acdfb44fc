# prod: two of everything that can be two, in three zones, and nothing removable by accident.

terraform {
  backend "s3" {
    key          = "interlock/prod.tfstate"
    use_lockfile = true
    encrypt      = true
  }
}

locals {
  environment = "prod"
}

module "stack" {
  source = "../../modules/stack"

  environment    = local.environment
  site           = local.site
  passwords      = local.passwords
  secret_version = var.secret_version

  # Seven years. Have your own counsel confirm it before the first apply: it can be lengthened, never
  # shortened. For comparison: MiFID II art. 16(7) five years, seven where the authority asks; SEC rule
  # 17a-4(a) six years; EU AI Act art. 26(6) six months at least.
  retention_days     = 2555
  log_retention_days = 365
  nat_gateways       = 3 # no zone depends on another

  settings = { IDENTITY_SOURCE = "oidc-proxy", RUN_ROLE = "ml_engineer" }

  database = { min_capacity = 2, max_capacity = 32, instances = 2, backup_retention_days = 35 }
  run      = { cpu = 4096, memory = 16384, storage = 100, max_concurrent = 50 }
  sizes = {
    code-server       = { cpu = 2048, memory = 8192, min = 2, max = 4 }
    dagster-webserver = { cpu = 1024, memory = 2048, min = 2, max = 6 }
    dagster-daemon    = { cpu = 1024, memory = 4096 }
    mlflow            = { cpu = 2048, memory = 4096, min = 2, max = 8 }
    console           = { cpu = 256, memory = 1024 }
    dagster-exporter  = { cpu = 256, memory = 512 }
    drift-monitor     = { cpu = 1024, memory = 4096 }
  }
  max_vcpus = 512
}
