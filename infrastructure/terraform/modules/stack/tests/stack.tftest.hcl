mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = module.storage.aws_s3_bucket.this["data"]
  values = { id = "interlock-dev-data-123456789012", arn = "arn:aws:s3:::interlock-dev-data-123456789012" }
}

override_resource {
  target = module.storage.aws_s3_bucket.this["artifacts"]
  values = { id = "interlock-dev-artifacts-123456789012", arn = "arn:aws:s3:::interlock-dev-artifacts-123456789012" }
}

override_resource {
  target = module.storage.aws_s3_bucket.this["audit"]
  values = { id = "interlock-dev-audit-123456789012", arn = "arn:aws:s3:::interlock-dev-audit-123456789012" }
}

variables {
  environment = "dev"
  site = {
    region                 = "eu-central-1"
    account_id             = "123456789012"
    owner                  = "ml-platform"
    cost_centre            = "4711"
    administrator_role_arn = "arn:aws:iam::123456789012:role/administrator"
    approver_principal_arn = "arn:aws:iam::123456789012:role/model-risk"
    zones                  = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    cidr                   = "10.20.0.0/16"
    https_egress_cidrs     = []
    allowed_cidrs          = ["198.51.100.0/24"]
    hosts                  = { dagster = "dagster.example.org", console = "console.example.org", mlflow = "mlflow.example.org" }
    certificate_arn        = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
    oidc = {
      issuer                 = "https://login.example.org"
      authorization_endpoint = "https://login.example.org/authorize"
      token_endpoint         = "https://login.example.org/token"
      user_info_endpoint     = "https://login.example.org/userinfo"
      client_id              = "interlock"
      client_secret_arn      = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:oidc-AbCdEf"
    }
    people                   = { subject = "email", groups = "groups", roles = [{ group = "model-risk", role = "approver" }], teams = [] }
    image_tag                = "0.1.0"
    notification_email       = "ml-platform@example.org"
    github_repository        = "example/interlock"
    github_oidc_provider_arn = null
    state = {
      bucket_arn = "arn:aws:s3:::interlock-state-123456789012-eu-central-1"
      key_arn    = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    }
    replication = null
  }
  passwords = {
    dagster         = "0123456789abcdef01234567"
    mlflow          = "76543210fedcba9876543210"
    run_signing_key = "0123456789abcdef0123456789abcdef"
  }

  retention_days      = 1
  log_retention_days  = 30
  deletion_protection = false
  nat_gateways        = 1
  settings            = { IDENTITY_SOURCE = "oidc-proxy", RUN_ROLE = "ml_engineer" }
  database            = { min_capacity = 0.5, max_capacity = 2, instances = 1, backup_retention_days = 1 }
  run                 = { cpu = 1024, memory = 4096, storage = 30, max_concurrent = 4 }
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

run "the_stack_fits_together" {
  assert {
    condition     = output.buckets.audit == "interlock-dev-audit-123456789012"
    error_message = "The audit bucket has another name."
  }
  assert {
    condition     = aws_iam_role.approver.name == "interlock-dev-approver" && endswith(local.approver_role_arn, ":role/${aws_iam_role.approver.name}")
    error_message = "The approval key waits for another role than the one that is made."
  }
  assert {
    condition     = alltrue([for duty, arn in local.signing_role_arns : endswith(arn, ":role/interlock-dev-task-${duty}") && contains(keys(module.platform.task_role_arns), duty)])
    error_message = "A key that signs waits for other roles than those that are made."
  }
  assert {
    condition     = jsondecode(aws_iam_role.approver.assume_role_policy).Statement[0].Principal.AWS == var.site.approver_principal_arn
    error_message = "Somebody else could approve."
  }
  assert {
    condition     = module.batch.queue_names["burst"] == local.batch_job_queue && module.batch.job_definition_name == local.batch_job_definition
    error_message = "The launcher would look for another queue or job definition than there is."
  }
  assert {
    condition     = module.platform.run_environment["AUDIT_RETENTION_DAYS"] == "1" && module.platform.run_environment["RUN_OWNER"] == "ml-platform"
    error_message = "Runs lock their events for other days than the bucket, or act in another name."
  }
}

run "a_deployment_is_told_where_it_goes" {
  assert {
    condition     = output.delivery.cluster == "interlock-dev" && length(output.delivery.subnets) == 3 && output.delivery.security_group == module.platform.jobs_security_group_id
    error_message = "One-shot tasks would be started elsewhere."
  }
  assert {
    condition     = length(output.delivery.alarms) > 0 && alltrue([for alarm in output.delivery.alarms : startswith(alarm, "interlock-dev-")])
    error_message = "A deployment would be watched by no alarm, or by others than its own."
  }
}

run "identity_must_be_chosen" {
  command = plan

  variables {
    settings = { RUN_ROLE = "ml_engineer" }
  }

  expect_failures = [var.settings]
}

run "retention_is_said_once" {
  command = plan

  variables {
    settings = { IDENTITY_SOURCE = "oidc-proxy", RUN_ROLE = "ml_engineer", AUDIT_RETENTION_DAYS = "7" }
  }

  expect_failures = [var.settings]
}

run "approvers_are_not_administrators" {
  command = plan

  variables {
    site = merge(var.site, { approver_principal_arn = var.site.administrator_role_arn })
  }

  expect_failures = [var.site]
}

run "a_copy_beside_the_original_is_refused" {
  command = plan

  variables {
    site = merge(var.site, { replication = {
      bucket_arn  = "arn:aws:s3:::audit-copies"
      kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
      account_id  = "123456789012"
    } })
  }

  expect_failures = [var.site]
}

run "owner_and_cost_centre_are_said" {
  command = plan

  variables {
    site = merge(var.site, { cost_centre = " " })
  }

  expect_failures = [var.site]
}
