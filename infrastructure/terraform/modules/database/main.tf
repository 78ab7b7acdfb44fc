# PostgreSQL for Dagster and MLflow: Aurora Serverless v2, in subnets without a way out.
#
# Passwords. RDS makes the administrator's, keeps it in Secrets Manager and changes it every seven days. Those
# of Dagster and MLflow are handed in as an ephemeral variable and stored by a write-only argument, so that no
# plan and no state holds them. To change them: raise secret_version, apply, run the job <name>-databases, which
# gives the database what the secrets hold now, and restart the services (README.md).

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.region
  policies   = "${path.module}/../../policies"

  port  = 5432
  users = toset(["dagster", "mlflow"])
}

resource "aws_db_subnet_group" "this" {
  name        = var.name
  description = "Subnets of ${var.name} without a way out"
  subnet_ids  = var.subnet_ids
  tags        = var.tags
}

resource "aws_security_group" "this" {
  name        = "${var.name}-database"
  description = "Database of ${var.name}; it opens no connections itself"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-database" })
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = var.allowed_security_group_ids

  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = each.value
  description                  = "From ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  tags                         = var.tags
}

resource "aws_rds_cluster_parameter_group" "this" {
  name        = var.name
  family      = "aurora-postgresql16"
  description = "TLS alone; who came and went is logged"
  tags        = var.tags

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
  parameter {
    name  = "log_connections"
    value = "1"
  }
  parameter {
    name  = "log_disconnections"
    value = "1"
  }
  parameter {
    name  = "log_statement"
    value = "none" # a logged ALTER ROLE would show a password; slow statements are logged below
  }
  parameter {
    name  = "log_min_duration_statement"
    value = "1000" # milliseconds
  }
  parameter {
    name  = "password_encryption"
    value = "scram-sha-256"
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/rds/cluster/${var.name}/postgresql"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_rds_cluster" "this" {
  #checkov:skip=CKV2_AWS_8:Aurora keeps its own backups, to any second; a plan of AWS Backup is the account's business
  cluster_identifier = var.name
  engine             = "aurora-postgresql"
  engine_mode        = "provisioned" # what Serverless v2 is called here
  engine_version     = "16"          # the newest minor version; Aurora installs later ones itself

  port                                = local.port
  db_subnet_group_name                = aws_db_subnet_group.this.name
  vpc_security_group_ids              = [aws_security_group.this.id]
  db_cluster_parameter_group_name     = aws_rds_cluster_parameter_group.this.name
  iam_database_authentication_enabled = true

  master_username               = "interlock_admin"
  manage_master_user_password   = true
  master_user_secret_kms_key_id = var.kms_key_arn

  storage_encrypted = true
  kms_key_id        = var.kms_key_arn

  backup_retention_period   = var.backup_retention_days
  preferred_backup_window   = "01:00-02:00" # UTC, between two ticks of the six-hourly schedule
  copy_tags_to_snapshot     = true
  deletion_protection       = var.deletion_protection
  delete_automated_backups  = !var.deletion_protection
  skip_final_snapshot       = !var.deletion_protection
  final_snapshot_identifier = "${var.name}-final"

  preferred_maintenance_window    = "sun:02:30-sun:03:30" # UTC
  enabled_cloudwatch_logs_exports = ["postgresql"]

  serverlessv2_scaling_configuration {
    min_capacity = var.min_capacity
    max_capacity = var.max_capacity
  }

  tags = var.tags

  depends_on = [aws_cloudwatch_log_group.this]
}

resource "aws_rds_cluster_instance" "this" {
  count = var.instances

  identifier         = "${var.name}-${count.index + 1}"
  cluster_identifier = aws_rds_cluster.this.id
  engine             = aws_rds_cluster.this.engine
  instance_class     = "db.serverless"

  db_subnet_group_name       = aws_db_subnet_group.this.name
  publicly_accessible        = false
  auto_minor_version_upgrade = true
  promotion_tier             = 1 # a reader grows and shrinks with the writer that it may have to replace
  ca_cert_identifier         = "rds-ca-rsa2048-g1"

  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.kms_key_arn
  performance_insights_retention_period = 7 # days; free of charge

  monitoring_interval = 60 # seconds
  monitoring_role_arn = aws_iam_role.monitoring.arn

  copy_tags_to_snapshot = true
  tags                  = var.tags

  depends_on = [aws_iam_role_policy.monitoring]
}

resource "aws_iam_role" "monitoring" {
  name        = "${var.name}-database-monitoring"
  description = "Writes what the operating system of the database of ${var.name} measures"
  tags        = var.tags

  assume_role_policy = templatefile("${local.policies}/trust-rds-monitoring.json.tftpl", {
    account_id = local.account_id
    name       = var.name
    partition  = local.partition
    region     = local.region
  })
}

resource "aws_iam_role_policy" "monitoring" {
  name = "monitoring"
  role = aws_iam_role.monitoring.name
  policy = templatefile("${local.policies}/rds-monitoring.json.tftpl", {
    account_id = local.account_id
    partition  = local.partition
    region     = local.region
  })
}

resource "aws_secretsmanager_secret" "user" {
  #checkov:skip=CKV2_AWS_57:Rotated by secret_version; the services read their password when they start
  for_each = local.users

  name                    = "${var.name}/database/${each.key}"
  description             = "User ${each.key} of the database: {username, password}"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.deletion_protection ? 30 : 0
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "user" {
  for_each = aws_secretsmanager_secret.user

  secret_id                = each.value.id
  secret_string_wo         = jsonencode({ username = each.key, password = var.passwords[each.key] })
  secret_string_wo_version = var.secret_version
}
