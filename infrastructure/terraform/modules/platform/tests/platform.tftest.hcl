mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                       = "interlock-dev"
  environment                = "dev"
  vpc_id                     = "vpc-0123456789abcdef0"
  private_subnet_ids         = ["subnet-0a", "subnet-0b", "subnet-0c"]
  public_subnet_ids          = ["subnet-1a", "subnet-1b", "subnet-1c"]
  endpoint_security_group_id = "sg-endpoints"
  s3_prefix_list_id          = "pl-0123456789abcdef0"
  data_bucket                = { id = "interlock-dev-data", arn = "arn:aws:s3:::interlock-dev-data" }
  artifact_bucket            = { id = "interlock-dev-artifacts", arn = "arn:aws:s3:::interlock-dev-artifacts" }
  audit_bucket               = { id = "interlock-dev-audit", arn = "arn:aws:s3:::interlock-dev-audit" }
  storage_key_arn            = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  kms_key_arn                = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  run_signing_key            = "0123456789abcdef0123456789abcdef"
  database = {
    endpoint           = "interlock-dev.cluster-x.eu-central-1.rds.amazonaws.com"
    port               = 5432
    security_group_id  = "sg-database"
    master_secret_arn  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:master-AbCdEf"
    dagster_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:dagster-AbCdEf"
    mlflow_secret_arn  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:mlflow-AbCdEf"
  }
  images = {
    platform = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/interlock-dev/platform:0.1.0"
    dagster  = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/interlock-dev/dagster:0.1.0"
    mlflow   = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/interlock-dev/mlflow:0.1.0"
  }
  signing = {
    approval_key_arn     = "arn:aws:kms:eu-central-1:123456789012:key/99999999-2222-3333-4444-555555555555"
    approval_key_alias   = "alias/interlock-dev-approval"
    approval_public_keys = "-----BEGIN PUBLIC KEY-----\napproval\n-----END PUBLIC KEY-----\n"
    identity_key_arn     = "arn:aws:kms:eu-central-1:123456789012:key/88888888-2222-3333-4444-555555555555"
    identity_key_alias   = "alias/interlock-dev-identity"
    identity_public_keys = "-----BEGIN PUBLIC KEY-----\nidentity\n-----END PUBLIC KEY-----\n"
  }
  people = {
    roles = [{ group = "model-risk", role = "approver" }, { group = "ml-engineers", role = "ml_engineer" }]
    teams = [{ group = "credit-risk", team = "credit-risk" }]
  }
  hosts           = { dagster = "dagster.example.org", console = "console.example.org", mlflow = "mlflow.example.org" }
  certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
  oidc = {
    issuer                 = "https://login.example.org"
    authorization_endpoint = "https://login.example.org/authorize"
    token_endpoint         = "https://login.example.org/token"
    user_info_endpoint     = "https://login.example.org/userinfo"
    client_id              = "interlock"
    client_secret_arn      = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:oidc-AbCdEf"
  }
  allowed_cidrs = ["198.51.100.0/24"]
}

run "no_port_is_open_to_the_world" {
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.flow : rule.referenced_security_group_id != null && rule.cidr_ipv4 == null])
    error_message = "A port is open to a network instead of to a security group."
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.web : rule.cidr_ipv4 == "198.51.100.0/24" && contains([80, 443], rule.from_port)])
    error_message = "The load balancer is open to more than 80 and 443 of the allowed networks."
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.flow : rule.from_port == rule.to_port && rule.ip_protocol == "tcp"])
    error_message = "A rule opens more than one port."
  }
  assert {
    condition     = length(aws_vpc_security_group_egress_rule.out) == 0
    error_message = "Tasks reach the outside though https_egress_cidrs is empty."
  }
  assert {
    condition     = length(setintersection(keys(aws_vpc_security_group_ingress_rule.flow), ["load-balancer-to-code-server", "load-balancer-to-dagster-exporter", "dagster-webserver-to-mlflow"])) == 0
    error_message = "Somebody may reach what they need not."
  }
}

# EC2 refuses rules whose description has other characters, the apostrophe among them.
run "descriptions_of_rules_are_such_as_ec2_takes" {
  assert {
    condition = alltrue([for rule in concat(
      values(aws_vpc_security_group_ingress_rule.flow), values(aws_vpc_security_group_egress_rule.flow), values(aws_vpc_security_group_ingress_rule.web),
      values(aws_vpc_security_group_egress_rule.endpoints), values(aws_vpc_security_group_egress_rule.s3), values(aws_vpc_security_group_egress_rule.database),
      [aws_vpc_security_group_egress_rule.identity_provider], values(aws_vpc_security_group_egress_rule.token_keys),
    ) : can(regex("^[a-zA-Z0-9. _:/()#,@\\[\\]+=&;{}!$*-]{1,255}$", rule.description))])
    error_message = "EC2 does not take the description of a rule."
  }
}

run "no_task_has_a_public_address_or_a_shell" {
  assert {
    condition     = alltrue([for service in merge(aws_ecs_service.this, { daemon = aws_ecs_service.daemon }) : !service.network_configuration[0].assign_public_ip])
    error_message = "A task has a public address."
  }
  assert {
    condition     = alltrue([for service in merge(aws_ecs_service.this, { daemon = aws_ecs_service.daemon }) : !service.enable_execute_command])
    error_message = "Somebody could get a shell with a task's role."
  }
  assert {
    condition = alltrue([for service in merge(aws_ecs_service.this, { daemon = aws_ecs_service.daemon }) :
    service.deployment_circuit_breaker[0].enable && service.deployment_circuit_breaker[0].rollback])
    error_message = "A failed deployment is not rolled back."
  }
}

run "containers_are_read_only_and_unprivileged" {
  assert {
    condition = alltrue([for definition in aws_ecs_task_definition.this : alltrue([for container in jsondecode(definition.container_definitions) :
      container.readonlyRootFilesystem && !container.privileged && container.user == "10001:10001" && container.linuxParameters.capabilities.drop == ["ALL"]
    ])])
    error_message = "A container may write to its root file system, is privileged, or runs as root."
  }
  assert {
    condition = alltrue([for service in keys(var.sizes) :
    can(jsondecode(aws_ecs_task_definition.this[service].container_definitions)[0].healthCheck.command)])
    error_message = "A service has no health check."
  }
  assert {
    condition = alltrue([for definition in aws_ecs_task_definition.this :
    jsondecode(definition.container_definitions)[0].logConfiguration.options["awslogs-group"] != ""])
    error_message = "What a container prints is lost."
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["code-server"].container_definitions)[0].command == ["dagster", "api", "grpc", "--host", "0.0.0.0", "--port", "4000", "-m", "interlock.definitions"]
    error_message = "The code server is not Dagster's own: its runs are tasks of their own here."
  }
}

run "secrets_are_never_plain_values" {
  assert {
    condition = alltrue(flatten([for definition in aws_ecs_task_definition.this : [for container in jsondecode(definition.container_definitions) : [
      for variable in container.environment : !can(regex("(?i)(password|secret|token|signing_key)", variable.name))
    ]]]))
    error_message = "A secret is an environment value."
  }
  assert {
    condition = alltrue(flatten([for definition in aws_ecs_task_definition.this : [for container in jsondecode(definition.container_definitions) : [
      for secret in container.secrets : startswith(secret.valueFrom, "arn:aws:secretsmanager:")
    ]]]))
    error_message = "A secret does not come from Secrets Manager."
  }
  assert {
    condition     = aws_secretsmanager_secret_version.signing_key.secret_string == null
    error_message = "The signing key is in the state."
  }
  assert {
    condition     = [for name, definition in aws_ecs_task_definition.this : name if strcontains(definition.container_definitions, var.database.master_secret_arn)] == ["databases"]
    error_message = "More than the job that makes the databases is handed the administrator's secret."
  }
  assert {
    condition     = toset([for name, definition in aws_ecs_task_definition.this : name if strcontains(definition.container_definitions, "RUN_SIGNING_KEY")]) == toset(["code-server", "run"])
    error_message = "RUN_SIGNING_KEY belongs to code server and runs alone."
  }
}

run "each_duty_has_its_own_role" {
  assert {
    condition     = length(distinct([for role in aws_iam_role.task : role.name])) == length(aws_ecs_task_definition.this)
    error_message = "Two duties share a role."
  }
  assert {
    condition     = length(setintersection(keys(aws_iam_role_policy.task), ["databases", "exporter"])) == 0
    error_message = "Who asks AWS for nothing may do something."
  }
  assert {
    condition     = [for duty, policy in aws_iam_role_policy.task : duty if strcontains(policy.policy, "ecs:RunTask")] == ["daemon"]
    error_message = "Only the daemon starts tasks."
  }
  assert {
    condition     = [for duty, policy in aws_iam_role_policy.task : duty if strcontains(policy.policy, "iam:PassRole")] == ["daemon"]
    error_message = "Only the daemon hands on roles."
  }
  assert {
    condition = alltrue([for duty in ["daemon", "mlflow"] :
    !strcontains(aws_iam_role_policy.task[duty].policy, var.data_bucket.arn) && !strcontains(aws_iam_role_policy.task[duty].policy, var.audit_bucket.arn)])
    error_message = "Daemon and MLflow read neither data nor the trail."
  }
}

# Who may pass a role to a task may have a command act in it, so no role reads more than its containers are handed.
run "what_is_started_by_name_reads_its_own_secrets_alone" {
  assert {
    condition = alltrue([for family in ["run", "jobs", "databases"] :
      toset(flatten([for statement in jsondecode(aws_iam_role_policy.execution["execution-${family}"].policy).Statement :
        statement.Resource if contains(statement.Action, "secretsmanager:GetSecretValue")
      ])) ==
      toset([for secret in jsondecode(aws_ecs_task_definition.this[family].container_definitions)[0].secrets :
        trimsuffix(secret.valueFrom, ":password::")
      ])
    ])
    error_message = "An execution role reads other secrets than its containers are handed."
  }
  assert {
    condition     = strcontains(aws_iam_role_policy.task["daemon"].policy, aws_iam_role.execution["execution-run"].arn)
    error_message = "The daemon cannot start runs."
  }
}

run "jobs_act_in_their_own_name_and_in_the_role_that_serves" {
  assert {
    condition = {
      for variable in jsondecode(aws_ecs_task_definition.this["jobs"].container_definitions)[0].environment : variable.name => variable.value
      if contains(["IDENTITY_SOURCE", "RUN_OWNER", "RUN_ROLE"], variable.name)
    } == { IDENTITY_SOURCE = "env", RUN_OWNER = "interlock-dev-jobs", RUN_ROLE = "ml_engineer" }
    error_message = "deploy-check would be refused, or audited in another name."
  }
  assert {
    condition     = contains(keys(aws_vpc_security_group_ingress_rule.flow), "jobs-to-dagster-webserver") && contains(keys(aws_vpc_security_group_ingress_rule.flow), "jobs-to-mlflow")
    error_message = "The smoke test does not reach what it asks."
  }
}

run "keys_that_sign_are_named_to_whoever_knows_who_acts" {
  assert {
    condition = { for key in ["IDENTITY_KEY", "APPROVAL_KEY"] : key => toset([for name, definition in aws_ecs_task_definition.this : name if contains(jsondecode(definition.container_definitions)[0].environment[*].name, key)]) } == {
      IDENTITY_KEY = toset(["dagster-webserver", "console", "dagster-daemon"])
      APPROVAL_KEY = toset(["dagster-webserver", "console"])
    }
    error_message = "A key that signs is named to somebody else than those who know who acts."
  }
  assert {
    condition = alltrue([for name in ["run", "code-server", "jobs", "drift-monitor", "dagster-webserver", "console", "dagster-daemon"] : alltrue([for key in ["APPROVAL_PUBLIC_KEYS", "IDENTITY_PUBLIC_KEYS"] :
    contains(jsondecode(aws_ecs_task_definition.this[name].container_definitions)[0].environment[*].name, key)])])
    error_message = "Somebody cannot check signatures."
  }
  assert {
    condition = alltrue([for name in ["dagster-webserver", "console"] :
      jsondecode({ for variable in jsondecode(aws_ecs_task_definition.this[name].container_definitions)[0].environment : variable.name => variable.value }["IDENTITY_MAPPING"]) == {
        groups  = "groups"
        proxy   = { client_id = "interlock", issuer = "https://login.example.org", kind = "alb", signer = aws_lb.this.arn }
        roles   = [{ group = "model-risk", role = "approver" }, { group = "ml-engineers", role = "ml_engineer" }]
        subject = "email"
        teams   = [{ group = "credit-risk", team = "credit-risk" }]
    }])
    error_message = "Tokens of another load balancer would be believed, or groups mean something else."
  }
  assert {
    condition     = alltrue([for version in aws_secretsmanager_secret_version.token : version.secret_string == null])
    error_message = "A token is in the state."
  }
}

run "dagster_runs_its_daemon_once" {
  assert {
    condition     = aws_ecs_service.daemon.desired_count == 1 && aws_ecs_service.daemon.deployment_maximum_percent == 100
    error_message = "Two daemons could run at once."
  }
  assert {
    condition     = !contains(keys(aws_appautoscaling_target.this), "dagster-daemon")
    error_message = "The daemon is scaled."
  }
}

run "services_scale_on_cpu_requests_and_queue" {
  assert {
    condition     = toset(keys(aws_appautoscaling_policy.cpu)) == toset(["code-server", "dagster-webserver", "mlflow"])
    error_message = "Not all that can scale does so on CPU."
  }
  assert {
    condition     = aws_appautoscaling_policy.requests["dagster"].target_tracking_scaling_policy_configuration[0].predefined_metric_specification[0].resource_label == "app/interlock-dev/0123456789abcdef/targetgroup/mock/0123456789abcdef"
    error_message = "Requests are counted elsewhere."
  }
  assert {
    condition = alltrue([for policy in aws_appautoscaling_policy.queue :
    anytrue([for metric in policy.target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metrics : metric.expression == "queued / tasks" && metric.return_data])])
    error_message = "The queue is not measured per task."
  }
}

run "a_service_of_fixed_size_does_not_scale" {
  variables {
    sizes = {
      code-server       = { cpu = 1024, memory = 4096 }
      dagster-webserver = { cpu = 512, memory = 1024 }
      dagster-daemon    = { cpu = 512, memory = 1024 }
      mlflow            = { cpu = 1024, memory = 2048 }
      console           = { cpu = 256, memory = 1024 }
      dagster-exporter  = { cpu = 256, memory = 512 }
      drift-monitor     = { cpu = 512, memory = 2048 }
    }
  }

  assert {
    condition     = length(aws_appautoscaling_target.this) == 0
    error_message = "A service with max = min scales."
  }
}

run "people_sign_in_before_they_see_a_page" {
  assert {
    condition = alltrue([for rule in aws_lb_listener_rule.page :
    one([for action in rule.action : action.type if action.order == 1]) == "authenticate-oidc"])
    error_message = "A page is shown without sign-in."
  }
  assert {
    condition     = aws_lb_listener.https.default_action[0].type == "fixed-response" && aws_lb_listener.http.default_action[0].type == "redirect"
    error_message = "Something answers besides the two pages."
  }
  assert {
    condition     = strcontains(aws_lb_listener.https.ssl_policy, "TLS13-1-2")
    error_message = "TLS below 1.2 is accepted."
  }
  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.enable_deletion_protection && aws_lb.this.access_logs[0].enabled
    error_message = "The load balancer takes invalid headers, can be deleted, or keeps no log."
  }
  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.access_logs.block_public_acls, aws_s3_bucket_public_access_block.access_logs.block_public_policy,
      aws_s3_bucket_public_access_block.access_logs.ignore_public_acls, aws_s3_bucket_public_access_block.access_logs.restrict_public_buckets,
    ])
    error_message = "Access logs could be made public."
  }
}

run "logs_and_spool_are_encrypted_and_logs_end" {
  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.this : group.kms_key_id == var.kms_key_arn && group.retention_in_days == 365])
    error_message = "A log is not encrypted with the key, or kept for ever."
  }
  assert {
    condition     = aws_efs_file_system.spool.encrypted && aws_efs_file_system.spool.kms_key_id == var.kms_key_arn
    error_message = "The spool is not encrypted."
  }
  assert {
    condition = alltrue([for name in ["run", "drift-monitor"] : alltrue([for volume in aws_ecs_task_definition.this[name].volume :
      volume.efs_volume_configuration[0].transit_encryption == "ENABLED" && volume.efs_volume_configuration[0].authorization_config[0].iam == "ENABLED" if volume.name == "spool"
    ])])
    error_message = "The spool is mounted in the clear or without the task's role."
  }
  assert {
    condition     = [for mount in jsondecode(aws_ecs_task_definition.this["drift-monitor"].container_definitions)[0].mountPoints : mount.readOnly if mount.sourceVolume == "spool"] == [true]
    error_message = "The drift monitor could write to the spool."
  }
}

run "a_moving_tag_is_refused" {
  command = plan

  variables {
    images = { platform = "x/platform:latest", dagster = "x/dagster:1", mlflow = "x/mlflow:1" }
  }

  expect_failures = [var.images]
}

run "a_missing_image_is_refused" {
  command = plan

  variables {
    images = { platform = "x/platform:1" }
  }

  expect_failures = [var.images]
}

run "a_second_daemon_is_refused" {
  command = plan

  variables {
    sizes = {
      code-server       = { cpu = 1024, memory = 4096 }
      dagster-webserver = { cpu = 512, memory = 1024 }
      dagster-daemon    = { cpu = 512, memory = 1024, min = 2, max = 2 }
      mlflow            = { cpu = 1024, memory = 2048 }
      console           = { cpu = 256, memory = 1024 }
      dagster-exporter  = { cpu = 256, memory = 512 }
      drift-monitor     = { cpu = 512, memory = 2048 }
    }
  }

  expect_failures = [var.sizes]
}

run "a_group_without_a_known_role_is_refused" {
  command = plan

  variables {
    people = { roles = [{ group = "everybody", role = "scheduler" }] }
  }

  expect_failures = [var.people]
}

run "addresses_and_secrets_are_no_settings" {
  command = plan

  variables {
    settings = { AWS_ENDPOINT_URL_S3 = "http://elsewhere:9000" }
  }

  expect_failures = [var.settings]
}

run "outside_dev_nothing_of_identity_is_assumed" {
  command = plan

  variables {
    environment = "prod"
    settings    = {}
  }

  expect_failures = [var.settings]
}

run "only_dev_may_be_deleted_easily" {
  command = plan

  variables {
    environment         = "prod"
    settings            = { AUDIT_RETENTION_DAYS = "2555", IDENTITY_SOURCE = "env", RUN_OWNER = "platform", RUN_ROLE = "ml_engineer" }
    deletion_protection = false
    force_destroy       = true
  }

  expect_failures = [var.deletion_protection, var.force_destroy]
}

run "a_load_balancer_open_to_nobody_is_a_mistake" {
  command = plan

  variables {
    allowed_cidrs = []
  }

  expect_failures = [var.allowed_cidrs]
}

run "a_secret_in_place_of_its_address_is_refused" {
  command = plan

  variables {
    oidc = {
      issuer                 = "https://login.example.org"
      authorization_endpoint = "https://login.example.org/authorize"
      token_endpoint         = "https://login.example.org/token"
      user_info_endpoint     = "https://login.example.org/userinfo"
      client_id              = "interlock"
      client_secret_arn      = "s3cr3t"
    }
  }

  expect_failures = [var.oidc]
}

run "a_queue_without_a_job_definition_is_refused" {
  command = plan

  variables {
    batch_job_queue = "interlock-dev-burst"
  }

  expect_failures = [var.batch_job_definition]
}
