# What compose does with Prometheus, Alertmanager and Grafana, on managed services and from the same files:
# alert_rules.yml as it is, the scrape jobs of prometheus.yml, the routes of monitoring/alertmanager.yml,
# the dashboards of grafana/dashboards (monitoring/publish_dashboards.py brings them there).
#
#   main.tf       metrics, rules, alerts, Grafana, the topics
#   collector.tf  scrapes the exporters
#   alarms.tf     what CloudWatch sees and Prometheus does not

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.region
  policies   = "${path.module}/../../policies"
}

resource "aws_prometheus_workspace" "this" {
  alias       = var.name
  kms_key_arn = var.kms_key_arn
  tags        = var.tags

  logging_configuration {
    log_group_arn = "${aws_cloudwatch_log_group.prometheus.arn}:*"
  }
}

resource "aws_cloudwatch_log_group" "prometheus" {
  name              = "/aws/vendedlogs/prometheus/${var.name}" # the prefix under which AWS may write by itself
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_prometheus_rule_group_namespace" "this" {
  name         = "interlock"
  workspace_id = aws_prometheus_workspace.this.id
  data         = var.alert_rules
  tags         = var.tags
}

locals {
  alertmanager = yamldecode(var.alertmanager_configuration)
  # Managed Prometheus notifies SNS alone. The watchdog, which always fires, has a topic nobody reads: an
  # alarm tells when it falls silent.
  receivers = [for receiver in local.alertmanager.receivers : merge(receiver, {
    sns_configs = [{
      topic_arn = receiver.name == "watchdog" ? aws_sns_topic.this["watchdog"].arn : aws_sns_topic.this["alerts"].arn
      sigv4     = { region = local.region }
      subject   = "Interlock ${var.environment}: {{ .Status }} {{ .CommonLabels.alertname }}"
    }]
  })]
}

resource "aws_prometheus_alert_manager_definition" "this" {
  count = var.managed_alerts ? 1 : 0

  workspace_id = aws_prometheus_workspace.this.id
  definition = yamlencode({
    alertmanager_config = yamlencode(merge(local.alertmanager, { receivers = local.receivers }))
  })
}

# Who is told. `alerts` has the subscriber, `watchdog` an alarm.
resource "aws_sns_topic" "this" {
  for_each = toset(["alerts", "watchdog"])

  name              = "${var.name}-${each.key}"
  kms_master_key_id = aws_kms_key.topics.arn
  tags              = var.tags
}

resource "aws_sns_topic_policy" "this" {
  for_each = aws_sns_topic.this

  arn = each.value.arn
  policy = templatefile("${local.policies}/topic-alerts.json.tftpl", {
    account_id = local.account_id
    topic_arn  = each.value.arn
  })
}

resource "aws_sns_topic_subscription" "email" {
  count = var.notification_email == null ? 0 : 1

  topic_arn = aws_sns_topic.this["alerts"].arn
  protocol  = "email"
  endpoint  = var.notification_email
}

# A key of their own: CloudWatch and Managed Prometheus have to be let in, and to nothing else.
resource "aws_kms_key" "topics" {
  description             = "Alarms and alerts of ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = templatefile("${local.policies}/key-alerts.json.tftpl", {
    account_id = local.account_id
    partition  = local.partition
  })
  tags = var.tags
}

resource "aws_kms_alias" "topics" {
  name          = "alias/${var.name}-alerts"
  target_key_id = aws_kms_key.topics.key_id
}

resource "aws_grafana_workspace" "this" {
  count = var.managed_grafana ? 1 : 0

  name                     = var.name
  description              = "Interlock, ${var.environment}"
  account_access_type      = "CURRENT_ACCOUNT"
  authentication_providers = var.grafana_authentication
  permission_type          = "CUSTOMER_MANAGED"
  role_arn                 = aws_iam_role.grafana[0].arn
  data_sources             = ["PROMETHEUS", "CLOUDWATCH"]
  tags                     = var.tags
}

resource "aws_iam_role" "grafana" {
  count = var.managed_grafana ? 1 : 0

  name        = "${var.name}-grafana"
  description = "What Grafana may read"
  assume_role_policy = templatefile("${local.policies}/trust-grafana.json.tftpl", {
    account_id = local.account_id
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "grafana" {
  count = var.managed_grafana ? 1 : 0

  name = "grafana"
  role = aws_iam_role.grafana[0].name
  policy = templatefile("${local.policies}/grafana.json.tftpl", {
    prometheus_workspace_arn = aws_prometheus_workspace.this.arn
  })
}
