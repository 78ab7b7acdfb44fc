# What only CloudWatch sees: the load balancer, tasks from outside, Aurora, and the way of the alerts
# themselves. What the platform says of itself is in alert_rules.yml.

locals {
  services = merge(var.service_names, { collector = aws_ecs_service.collector.name })

  # One table, so that every alarm reads alike. `above` or `below` is what the value must not be for
  # `periods` times `period` seconds; `missing` is how absence counts.
  alarms = merge(
    {
      alb-5xx = {
        text = "The load balancer itself answers with errors: no healthy task, or it cannot sign people in."
        ns   = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", stat = "Sum", above = 10, below = null
        dims = { LoadBalancer = var.alb_arn_suffix }, period = 60, periods = 5, missing = "notBreaching"
      }
      alb-target-5xx = {
        text = "Dagster or MLflow answers with errors."
        ns   = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", stat = "Sum", above = 10, below = null
        dims = { LoadBalancer = var.alb_arn_suffix }, period = 60, periods = 5, missing = "notBreaching"
      }
      aurora-capacity = {
        text = "Aurora uses nine tenths of what it may grow to; raise max_capacity before queries wait."
        ns   = "AWS/RDS", metric = "ServerlessDatabaseCapacity", stat = "Average", above = 0.9 * var.database_max_capacity, below = null
        dims = { DBClusterIdentifier = var.database_cluster_identifier }, period = 300, periods = 3, missing = "missing"
      }
      aurora-connections = {
        text = "Aurora nears the connections that it allows; every run holds some."
        ns   = "AWS/RDS", metric = "DatabaseConnections", stat = "Maximum", above = var.database_max_connections, below = null
        dims = { DBClusterIdentifier = var.database_cluster_identifier }, period = 300, periods = 3, missing = "missing"
      }
      queue-depth = {
        text = "Runs wait and half an hour did not bring them down: raise max_concurrent, or use bursts."
        ns   = "Interlock", metric = "pipeline_runs_active", stat = "Average", above = var.queue_alarm, below = null
        dims = { environment = var.environment, status = "queued" }, period = 300, periods = 6, missing = "missing"
      }
      # The metric's own absence: nothing scales on it then, and Prometheus may be as blind.
      queue-unknown = {
        text = "The collector sends no queue depth: it, the Dagster exporter or the web server is away."
        ns   = "Interlock", metric = "pipeline_runs_active", stat = "SampleCount", above = null, below = 1
        dims = { environment = var.environment, status = "queued" }, period = 300, periods = 3, missing = "breaching"
      }
    },
    var.managed_alerts ? {
      alerts-silent = {
        text = "The watchdog of Managed Prometheus fell silent: alerts would not arrive either."
        ns   = "AWS/SNS", metric = "NumberOfMessagesPublished", stat = "Sum", above = null, below = 1
        dims = { TopicName = aws_sns_topic.this["watchdog"].name }, period = 900, periods = 2, missing = "breaching"
      }
    } : {},
    { for page, suffix in var.target_group_arn_suffixes : "unhealthy-${page}" => {
      text = "A task of ${page} does not pass the load balancer's health check."
      ns   = "AWS/ApplicationELB", metric = "UnHealthyHostCount", stat = "Maximum", above = 0, below = null
      dims = { LoadBalancer = var.alb_arn_suffix, TargetGroup = suffix }, period = 60, periods = 5, missing = "notBreaching"
    } },
    { for service, ecs_name in local.services : "cpu-${service}" => {
      text = "${service} uses most of its CPU, and scaling did not help or is at its end."
      ns   = "AWS/ECS", metric = "CPUUtilization", stat = "Average", above = 85, below = null
      dims = { ClusterName = var.cluster_name, ServiceName = ecs_name }, period = 300, periods = 3, missing = "missing"
    } },
    { for service, ecs_name in local.services : "memory-${service}" => {
      text = "${service} is close to the memory at which its task is killed."
      ns   = "AWS/ECS", metric = "MemoryUtilization", stat = "Maximum", above = 90, below = null
      dims = { ClusterName = var.cluster_name, ServiceName = ecs_name }, period = 300, periods = 2, missing = "missing"
    } },
    { for service, ecs_name in local.services : "tasks-${service}" => {
      text = "No task of ${service} runs."
      ns   = "ECS/ContainerInsights", metric = "RunningTaskCount", stat = "Maximum", above = null, below = 1
      dims = { ClusterName = var.cluster_name, ServiceName = ecs_name }, period = 60, periods = 5, missing = "breaching"
    } },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.ns
  metric_name         = each.value.metric
  dimensions          = each.value.dims
  statistic           = each.value.stat
  period              = each.value.period
  evaluation_periods  = each.value.periods
  comparison_operator = each.value.above == null ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = each.value.above == null ? each.value.below : each.value.above
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.this["alerts"].arn]
  ok_actions          = [aws_sns_topic.this["alerts"].arn]
  tags                = var.tags
}
