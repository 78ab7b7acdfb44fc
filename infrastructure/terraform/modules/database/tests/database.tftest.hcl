mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                       = "interlock-dev"
  environment                = "dev"
  vpc_id                     = "vpc-0123456789abcdef0"
  subnet_ids                 = ["subnet-2a", "subnet-2b", "subnet-2c"]
  allowed_security_group_ids = { mlflow = "sg-0aaaaaaaaaaaaaaaa", run = "sg-0bbbbbbbbbbbbbbbb" }
  kms_key_arn                = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  passwords                  = { dagster = "0123456789abcdef01234567", mlflow = "76543210fedcba9876543210" }
}

run "the_database_is_encrypted_and_backed_up" {
  assert {
    condition     = aws_rds_cluster.this.storage_encrypted && aws_rds_cluster.this.kms_key_id == var.kms_key_arn
    error_message = "The database is not encrypted with the given key."
  }
  assert {
    condition     = aws_rds_cluster.this.backup_retention_period == 14 && aws_rds_cluster.this.copy_tags_to_snapshot
    error_message = "There are no backups."
  }
  assert {
    condition     = aws_rds_cluster.this.deletion_protection && !aws_rds_cluster.this.skip_final_snapshot
    error_message = "The database could be deleted by accident."
  }
  assert {
    condition     = alltrue([for i in aws_rds_cluster_instance.this : i.performance_insights_enabled && i.performance_insights_kms_key_id == var.kms_key_arn])
    error_message = "Performance data is off, or not encrypted."
  }
  assert {
    condition     = contains(aws_rds_cluster.this.enabled_cloudwatch_logs_exports, "postgresql") && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn
    error_message = "The database's log is not kept, or not encrypted."
  }
}

run "it_is_serverless_postgres_16" {
  assert {
    condition     = aws_rds_cluster.this.engine == "aurora-postgresql" && startswith(aws_rds_cluster.this.engine_version, "16") && alltrue([for i in aws_rds_cluster_instance.this : i.instance_class == "db.serverless"])
    error_message = "This is not Aurora Serverless v2 with PostgreSQL 16."
  }
  assert {
    condition     = aws_rds_cluster.this.serverlessv2_scaling_configuration[0].min_capacity == 0.5 && aws_rds_cluster.this.serverlessv2_scaling_configuration[0].max_capacity == 4
    error_message = "Capacities are not those given."
  }
}

run "connections_are_encrypted_and_come_from_named_groups" {
  assert {
    condition     = contains([for p in aws_rds_cluster_parameter_group.this.parameter : "${p.name}=${p.value}"], "rds.force_ssl=1")
    error_message = "Connections without TLS are accepted."
  }
  assert {
    condition     = alltrue([for i in aws_rds_cluster_instance.this : !i.publicly_accessible])
    error_message = "The database has a public address."
  }
  assert {
    condition     = tomap({ for client, rule in aws_vpc_security_group_ingress_rule.this : client => rule.referenced_security_group_id }) == tomap(var.allowed_security_group_ids)
    error_message = "Somebody else may connect."
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.this : rule.cidr_ipv4 == null && rule.from_port == 5432 && rule.to_port == 5432])
    error_message = "A whole network may connect, or another port is open."
  }
}

run "passwords_are_nowhere_in_the_state" {
  assert {
    condition     = aws_rds_cluster.this.manage_master_user_password && aws_rds_cluster.this.master_password == null
    error_message = "The administrator's password passes through Terraform."
  }
  assert {
    condition     = alltrue([for v in aws_secretsmanager_secret_version.user : v.secret_string_wo == null && v.secret_string_wo_version == 1])
    error_message = "A password is kept in the state."
  }
  assert {
    condition     = toset(keys(aws_secretsmanager_secret.user)) == toset(["dagster", "mlflow"]) && alltrue([for s in aws_secretsmanager_secret.user : s.kms_key_id == var.kms_key_arn])
    error_message = "Each user has a secret of its own, encrypted with the given key."
  }
  assert {
    condition     = aws_rds_cluster.this.iam_database_authentication_enabled && aws_rds_cluster.this.master_user_secret_kms_key_id == var.kms_key_arn
    error_message = "IAM authentication is off, or the administrator's secret has another key."
  }
}

run "dev_may_do_without_protection" {
  variables {
    deletion_protection = false
  }

  assert {
    condition     = aws_rds_cluster.this.skip_final_snapshot && alltrue([for s in aws_secretsmanager_secret.user : s.recovery_window_in_days == 0])
    error_message = "What dev made cannot be made again at once."
  }
}

run "prod_needs_protection" {
  command = plan

  variables {
    environment         = "prod"
    instances           = 2
    deletion_protection = false
  }

  expect_failures = [var.deletion_protection]
}

run "prod_needs_a_second_instance" {
  command = plan

  variables {
    environment = "prod"
  }

  expect_failures = [var.instances]
}

run "staging_needs_a_week_of_backups" {
  command = plan

  variables {
    environment           = "staging"
    backup_retention_days = 1
  }

  expect_failures = [var.backup_retention_days]
}

run "networks_are_no_security_groups" {
  command = plan

  variables {
    allowed_security_group_ids = { everybody = "0.0.0.0/0" }
  }

  expect_failures = [var.allowed_security_group_ids]
}

run "a_short_password_is_refused" {
  command = plan

  variables {
    passwords = { dagster = "dagster", mlflow = "mlflow" }
  }

  expect_failures = [var.passwords]
}

run "the_largest_capacity_is_not_below_the_smallest" {
  command = plan

  variables {
    min_capacity = 8
  }

  expect_failures = [var.max_capacity]
}

run "capacities_come_in_halves" {
  command = plan

  variables {
    min_capacity = 0.7
  }

  expect_failures = [var.min_capacity]
}

run "two_zones_are_needed" {
  command = plan

  variables {
    subnet_ids = ["subnet-2a"]
  }

  expect_failures = [var.subnet_ids]
}
