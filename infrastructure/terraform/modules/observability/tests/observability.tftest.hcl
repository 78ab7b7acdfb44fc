mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                        = "interlock-dev"
  environment                 = "dev"
  kms_key_arn                 = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  alert_rules                 = file("../../../../alert_rules.yml")
  prometheus_configuration    = file("../../../../prometheus.yml")
  alertmanager_configuration  = file("../../../../monitoring/alertmanager.yml")
  cluster_arn                 = "arn:aws:ecs:eu-central-1:123456789012:cluster/interlock-dev"
  cluster_name                = "interlock-dev"
  service_names               = { mlflow = "mlflow", code-server = "code-server" }
  alb_arn_suffix              = "app/interlock-dev/0123456789abcdef"
  target_group_arn_suffixes   = { dagster = "targetgroup/dagster/1", mlflow = "targetgroup/mlflow/1" }
  database_cluster_identifier = "interlock-dev"
  database_max_capacity       = 8
  vpc_id                      = "vpc-0123456789abcdef0"
  subnet_ids                  = ["subnet-0a", "subnet-0b"]
  endpoint_security_group_id  = "sg-endpoints"
  namespace                   = "dev.interlock.internal"
  scrape_security_group_ids   = { dagster-exporter = "sg-exporter", drift-monitor = "sg-monitor", mlflow = "sg-mlflow" }
  execution_role_arn          = "arn:aws:iam::123456789012:role/interlock-dev-execution"
}

run "the_rules_are_the_repositorys_own" {
  assert {
    condition     = aws_prometheus_rule_group_namespace.this.data == file("../../../../alert_rules.yml")
    error_message = "The rules differ from alert_rules.yml."
  }
}

run "the_scrape_jobs_are_the_repositorys_own" {
  assert {
    condition     = output.scraped == { dagster-exporter = 9200, drift-monitor = 9100, mlflow = 5000 }
    error_message = "Another set of jobs is scraped than prometheus.yml names, less what AWS runs itself."
  }
  assert {
    condition     = strcontains(jsondecode(aws_ecs_task_definition.collector.container_definitions)[0].environment[0].value, "dagster-exporter.dev.interlock.internal:9200")
    error_message = "Host names have not the private namespace."
  }
  assert {
    condition     = yamldecode(jsondecode(aws_ecs_task_definition.collector.container_definitions)[0].environment[0].value).receivers.prometheus.config.global.scrape_interval == "15s"
    error_message = "The interval is not that of prometheus.yml."
  }
  assert {
    condition     = yamldecode(jsondecode(aws_ecs_task_definition.collector.container_definitions)[0].environment[0].value).exporters.prometheusremotewrite.auth.authenticator == "sigv4auth"
    error_message = "Metrics are sent without a signature."
  }
  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.scraped : rule.from_port]) == toset([5000, 9100, 9200])
    error_message = "Other ports are opened to the collector than those it scrapes."
  }
}

run "alerts_go_where_the_repositorys_routes_say" {
  assert {
    condition     = yamldecode(yamldecode(aws_prometheus_alert_manager_definition.this[0].definition).alertmanager_config).route == yamldecode(file("../../../../monitoring/alertmanager.yml")).route
    error_message = "The routes differ from monitoring/alertmanager.yml."
  }
  assert {
    condition     = alltrue([for receiver in yamldecode(yamldecode(aws_prometheus_alert_manager_definition.this[0].definition).alertmanager_config).receivers : length(receiver.sns_configs) == 1])
    error_message = "A receiver has no topic."
  }
}

run "topics_and_logs_are_encrypted_and_logs_end" {
  assert {
    condition     = alltrue([for topic in aws_sns_topic.this : topic.kms_master_key_id == aws_kms_key.topics.arn]) && aws_kms_key.topics.enable_key_rotation
    error_message = "A topic is not encrypted, or its key does not rotate."
  }
  assert {
    condition = alltrue([for group in [aws_cloudwatch_log_group.collector, aws_cloudwatch_log_group.metrics, aws_cloudwatch_log_group.prometheus] :
    group.kms_key_id == var.kms_key_arn && group.retention_in_days > 0])
    error_message = "A log is not encrypted with the key, or kept for ever."
  }
  assert {
    condition     = aws_prometheus_workspace.this.kms_key_arn == var.kms_key_arn
    error_message = "Metrics are not encrypted with the key."
  }
}

run "every_alarm_tells_somebody" {
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : length(alarm.alarm_actions) == 1 && length(alarm.alarm_description) > 0])
    error_message = "An alarm reaches nobody."
  }
  assert {
    condition = alltrue([for needed in [
      "alb-5xx", "alb-target-5xx", "unhealthy-dagster", "unhealthy-mlflow", "cpu-mlflow", "memory-mlflow", "tasks-mlflow", "tasks-collector",
      "aurora-capacity", "aurora-connections", "queue-depth", "queue-unknown", "alerts-silent",
    ] : contains(keys(aws_cloudwatch_metric_alarm.this), needed)])
    error_message = "An alarm is missing."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["queue-depth"].dimensions == tomap({ environment = "dev", status = "queued" })
    error_message = "The queue is not the one that the collector sends."
  }
}

run "the_collector_is_unprivileged_and_private" {
  assert {
    condition = alltrue([for container in jsondecode(aws_ecs_task_definition.collector.container_definitions) :
    container.readonlyRootFilesystem && !container.privileged && container.user == "10001:10001"])
    error_message = "The collector may write to its root file system, is privileged, or runs as root."
  }
  assert {
    condition     = !aws_ecs_service.collector.network_configuration[0].assign_public_ip && aws_ecs_service.collector.desired_count == 1
    error_message = "The collector has a public address, or runs more than once."
  }
}

run "grafana_and_alerts_can_be_had_elsewhere" {
  variables {
    managed_grafana = false
    managed_alerts  = false
  }

  assert {
    condition     = length(aws_grafana_workspace.this) == 0 && output.grafana_endpoint == null && !contains(keys(aws_cloudwatch_metric_alarm.this), "alerts-silent")
    error_message = "Something is made that was not wanted."
  }
}

run "what_is_no_rule_file_is_refused" {
  command = plan

  variables {
    alert_rules = "groups: []"
  }

  expect_failures = [var.alert_rules]
}

run "a_moving_tag_is_refused" {
  command = plan

  variables {
    collector_image = "public.ecr.aws/aws-observability/aws-otel-collector:latest"
  }

  expect_failures = [var.collector_image]
}
