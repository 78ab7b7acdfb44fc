# The platform's processes on ECS: one Fargate service each for web server, console, daemon, code server,
# MLflow and the two exporters, and the task definitions of runs and jobs. It mirrors docker-compose.yml:
# same images, same variables, same health checks.
#
#   main.tf             cluster, names in the VPC, logs, the signing key, tokens of services
#   roles.tf            a role per duty, from ../../policies
#   security_groups.tf  which port is open to whom
#   load_balancer.tf    the way in, with sign-in
#   spool.tf            where audit records wait that S3 did not take
#   containers.tf       what each container is told
#   services.tf         task definitions and services
#   autoscaling.tf      what scales on what signal

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.region
  policies   = "${path.module}/../../policies"

  namespace    = "${var.environment}.interlock.internal"
  cluster_name = var.name
  ports = {
    code-server       = 4000
    console           = 8080
    dagster-webserver = 3000
    mlflow            = 5000
    dagster-exporter  = 9200
    drift-monitor     = 9100
  }
}

resource "aws_ecs_cluster" "this" {
  name = local.cluster_name
  tags = var.tags

  setting {
    name  = "containerInsights" # running tasks per service, which alarms and scaling need
    value = "enabled"
  }
}

resource "aws_service_discovery_private_dns_namespace" "this" {
  name        = local.namespace
  description = "The services of ${var.name}, named as in docker-compose.yml"
  vpc         = var.vpc_id
  tags        = var.tags
}

resource "aws_service_discovery_service" "this" {
  for_each = local.ports

  name          = each.key
  force_destroy = true # a task that dies uncleanly leaves an address behind
  tags          = var.tags

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"

    dns_records {
      ttl  = 10
      type = "A"
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  for_each = local.task_definitions

  name              = "/interlock/${var.environment}/${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

# Made here, so that it has a key and an end; Container Insights would make it with neither.
resource "aws_cloudwatch_log_group" "insights" {
  #checkov:skip=CKV_AWS_338:Performance figures, of which CloudWatch keeps the metrics for 15 months
  name              = "/aws/ecs/containerinsights/${local.cluster_name}/performance"
  retention_in_days = min(var.log_retention_days, 30)
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

# What proves that a schedule started a run. Written past the state (modules/passwords says how).
resource "aws_secretsmanager_secret" "signing_key" {
  #checkov:skip=CKV2_AWS_57:Rotated by signing_key_version while the queue is empty; queued runs carry tokens of the old key
  name                    = "${var.name}/run-signing-key"
  description             = "RUN_SIGNING_KEY: proves that a schedule started a run"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.force_destroy ? 0 : 30
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "signing_key" {
  secret_id                = aws_secretsmanager_secret.signing_key.id
  secret_string_wo         = var.run_signing_key
  secret_string_wo_version = var.signing_key_version
}

# Tokens of the service accounts that ask the web server. An administrator adds the account, and puts its token in
# place of the one that is believed by nobody; until then they are refused, and an alert says so.
resource "aws_secretsmanager_secret" "token" {
  #checkov:skip=CKV2_AWS_57:Renewed with `interlock user renew`, which is the one that knows the new token
  for_each = toset(["exporter", "jobs"])

  name                    = "${var.name}/${each.key}-token"
  description             = "IDENTITY_TOKEN of the service account ${each.key}"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.force_destroy ? 0 : 30
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "token" {
  for_each = aws_secretsmanager_secret.token

  secret_id                = each.value.id
  secret_string_wo         = "no-token-yet"
  secret_string_wo_version = 1 # later ones are the administrator's
}
