# One environment: the modules, and how they hang together. What is equal in dev, staging and prod is
# written here once; what differs, environments/<environment>/main.tf gives.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
locals {
  name       = "interlock-${var.environment}"
  repository = "${path.module}/../../../.."
  tags       = { "interlock:stack" = local.name } # besides owner, environment and cost centre, the provider's default tags
  policies   = "${path.module}/../../policies"

  account_id        = data.aws_caller_identity.current.account_id
  partition         = data.aws_partition.current.partition
  approver_role_arn = "arn:${local.partition}:iam::${local.account_id}:role/${local.name}-approver"

  # Who knows the person that acts, and signs for them.
  signing_role_arns = { for duty in ["webserver", "console", "daemon"] : duty => "arn:${local.partition}:iam::${local.account_id}:role/${local.name}-task-${duty}" }

  # Names that two modules have to agree on before either exists.
  batch_job_queue      = "${local.name}-burst"
  batch_job_definition = "${local.name}-run"

  # How Interlock decides (.env.example). Addresses, buckets and secrets are the platform module's business.
  settings = merge(var.settings, {
    AUDIT_RETENTION_DAYS = tostring(var.retention_days)
    RUN_OWNER            = var.site.owner
  })

  # Only what is outside AWS needs a NAT gateway, and only then is there a way to it.
  internet = var.nat_gateways > 0 ? toset(["0.0.0.0/0"]) : toset([])
}

module "storage" {
  source = "../storage"

  name                   = local.name
  environment            = var.environment
  tags                   = local.tags
  retention_days         = var.retention_days
  administrator_role_arn = var.site.administrator_role_arn
  approver_role_arn      = local.approver_role_arn
  signing_role_arns      = local.signing_role_arns
  replication            = var.site.replication
  log_retention_days     = var.log_retention_days
  force_destroy          = !var.deletion_protection
}

module "network" {
  source = "../network"

  name                    = local.name
  environment             = var.environment
  tags                    = local.tags
  cidr                    = var.site.cidr
  zones                   = var.site.zones
  nat_gateways            = var.nat_gateways
  flow_log_retention_days = var.log_retention_days
  kms_key_arn             = module.storage.storage_key_arn
}

module "database" {
  source = "../database"

  name                       = local.name
  environment                = var.environment
  tags                       = local.tags
  vpc_id                     = module.network.vpc_id
  subnet_ids                 = module.network.database_subnet_ids
  allowed_security_group_ids = module.platform.database_client_security_group_ids
  min_capacity               = var.database.min_capacity
  max_capacity               = var.database.max_capacity
  instances                  = var.database.instances
  backup_retention_days      = var.database.backup_retention_days
  deletion_protection        = var.deletion_protection
  log_retention_days         = var.log_retention_days
  kms_key_arn                = module.storage.storage_key_arn
  passwords                  = { dagster = var.passwords.dagster, mlflow = var.passwords.mlflow }
  secret_version             = var.secret_version
}

module "registry" {
  source = "../registry"

  name         = local.name
  environment  = var.environment
  tags         = local.tags
  kms_key_arn  = module.storage.storage_key_arn
  force_delete = !var.deletion_protection
}

module "platform" {
  source = "../platform"

  name        = local.name
  environment = var.environment
  tags        = local.tags

  vpc_id                     = module.network.vpc_id
  private_subnet_ids         = module.network.private_subnet_ids
  public_subnet_ids          = module.network.public_subnet_ids
  endpoint_security_group_id = module.network.endpoint_security_group_id
  s3_prefix_list_id          = module.network.s3_prefix_list_id
  https_egress_cidrs         = var.site.https_egress_cidrs

  data_bucket     = module.storage.data_bucket
  artifact_bucket = module.storage.artifact_bucket
  audit_bucket    = module.storage.audit_bucket
  storage_key_arn = module.storage.storage_key_arn
  kms_key_arn     = module.storage.storage_key_arn
  signing = {
    approval_key_arn     = module.storage.approval_key_arn
    approval_key_alias   = module.storage.approval_key_alias
    approval_public_keys = module.storage.public_keys.approval
    identity_key_arn     = module.storage.identity_key_arn
    identity_key_alias   = module.storage.identity_key_alias
    identity_public_keys = module.storage.public_keys.identity
  }
  database = {
    endpoint           = module.database.endpoint
    port               = module.database.port
    security_group_id  = module.database.security_group_id
    master_secret_arn  = module.database.master_secret_arn
    dagster_secret_arn = module.database.dagster_secret_arn
    mlflow_secret_arn  = module.database.mlflow_secret_arn
  }

  images               = { for image, url in module.registry.repository_urls : image => "${url}:${var.site.image_tag}" }
  settings             = local.settings
  sizes                = var.sizes
  run                  = var.run
  batch_job_queue      = local.batch_job_queue
  batch_job_definition = local.batch_job_definition
  run_signing_key      = var.passwords.run_signing_key
  signing_key_version  = var.secret_version

  hosts           = var.site.hosts
  certificate_arn = var.site.certificate_arn
  oidc            = var.site.oidc
  people          = var.site.people
  allowed_cidrs   = var.site.allowed_cidrs

  log_retention_days  = var.log_retention_days
  deletion_protection = var.deletion_protection
  force_destroy       = !var.deletion_protection
}

module "batch" {
  source = "../batch"

  name                  = local.name
  environment           = var.environment
  tags                  = local.tags
  subnet_ids            = module.network.private_subnet_ids
  run_security_group_id = module.platform.run_security_group_id
  run_task_role_arn     = module.platform.run_task_role_arn
  execution_role_arn    = module.platform.run_execution_role_arn
  image                 = "${module.registry.repository_urls["platform"]}:${var.site.image_tag}"
  environment_variables = module.platform.run_environment
  secrets               = module.platform.run_secrets
  spool                 = module.platform.spool
  log_group_name        = module.platform.log_group_names["run"]
  max_vcpus             = var.max_vcpus
}

module "observability" {
  source = "../observability"

  name                        = local.name
  environment                 = var.environment
  tags                        = local.tags
  vpc_id                      = module.network.vpc_id
  subnet_ids                  = module.network.private_subnet_ids
  endpoint_security_group_id  = module.network.endpoint_security_group_id
  https_egress_cidrs          = local.internet # the collector's image comes from a public registry
  kms_key_arn                 = module.storage.storage_key_arn
  alert_rules                 = file("${local.repository}/alert_rules.yml")
  prometheus_configuration    = file("${local.repository}/prometheus.yml")
  alertmanager_configuration  = file("${local.repository}/monitoring/alertmanager.yml")
  cluster_arn                 = module.platform.cluster_arn
  cluster_name                = module.platform.cluster_name
  execution_role_arn          = module.platform.execution_role_arn
  service_names               = module.platform.service_names
  scrape_security_group_ids   = module.platform.scrape_security_group_ids
  namespace                   = module.platform.namespace
  alb_arn_suffix              = module.platform.alb_arn_suffix
  target_group_arn_suffixes   = module.platform.target_group_arn_suffixes
  database_cluster_identifier = module.database.cluster_identifier
  database_max_capacity       = var.database.max_capacity
  notification_email          = var.site.notification_email
  log_retention_days          = var.log_retention_days
}

module "delivery" {
  source = "../delivery"

  name                   = local.name
  environment            = var.environment
  tags                   = local.tags
  github_repository      = var.site.github_repository
  oidc_provider_arn      = var.site.github_oidc_provider_arn
  repository_arns        = module.registry.repository_arns
  cluster_arn            = module.platform.cluster_arn
  cluster_name           = module.platform.cluster_name
  oidc_client_secret_arn = var.site.oidc.client_secret_arn
  state_bucket_arn       = var.site.state.bucket_arn
  state_key_arn          = var.site.state.key_arn
  storage_key_arn        = module.storage.storage_key_arn
}
