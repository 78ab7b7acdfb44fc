# What scales on what signal. Target tracking alone: AWS makes the alarms and keeps the metric near its
# target. Numbers of tasks between min and max of `sizes`; a service with max = min does not scale.
#
#   CPU       all three: work that is under way. Slow, but never wrong.
#   requests  Dagster's and MLflow's pages, at the load balancer: people. Climbs minutes before CPU does.
#   queue     code server and MLflow: runs that wait. Each will ask the code server for its plan and write
#             to MLflow as soon as there is room for it, past the load balancer, where requests are not
#             counted. The metric comes from the Dagster exporter through the collector (observability).
#
# Runs themselves need none of this: each is a task of its own, and max_concurrent holds their number.

locals {
  scaled       = { for service in ["code-server", "dagster-webserver", "mlflow"] : service => var.sizes[service] if var.sizes[service].max > var.sizes[service].min }
  scaled_pages = { for page, each_page in local.pages : page => each_page.service if contains(keys(local.scaled), each_page.service) }
  scaled_queue = toset([for service in ["code-server", "mlflow"] : service if contains(keys(local.scaled), service)])
}

resource "aws_appautoscaling_target" "this" {
  for_each = local.scaled

  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${local.cluster_name}/${aws_ecs_service.this[each.key].name}"
  min_capacity       = each.value.min
  max_capacity       = each.value.max
  tags               = var.tags
}

resource "aws_appautoscaling_policy" "cpu" {
  for_each = aws_appautoscaling_target.this

  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = each.value.service_namespace
  scalable_dimension = each.value.scalable_dimension
  resource_id        = each.value.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.scaling.cpu_percent
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

resource "aws_appautoscaling_policy" "requests" {
  for_each = local.scaled_pages

  name               = "requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this[each.value].service_namespace
  scalable_dimension = aws_appautoscaling_target.this[each.value].scalable_dimension
  resource_id        = aws_appautoscaling_target.this[each.value].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.scaling.requests_per_target
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = "${aws_lb.this.arn_suffix}/${aws_lb_target_group.this[each.key].arn_suffix}"
    }
  }
}

resource "aws_appautoscaling_policy" "queue" {
  for_each = local.scaled_queue

  name               = "queue"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this[each.key].service_namespace
  scalable_dimension = aws_appautoscaling_target.this[each.key].scalable_dimension
  resource_id        = aws_appautoscaling_target.this[each.key].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.scaling.queued_per_task
    scale_out_cooldown = 60
    scale_in_cooldown  = 600

    customized_metric_specification {
      metrics {
        id          = "queued"
        label       = "Runs that wait"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "Interlock"
            metric_name = "pipeline_runs_active"

            dimensions {
              name  = "environment"
              value = var.environment
            }

            dimensions {
              name  = "status"
              value = "queued"
            }
          }
        }
      }

      metrics {
        id          = "tasks"
        label       = "Tasks that run"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dimensions {
              name  = "ClusterName"
              value = local.cluster_name
            }

            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.this[each.key].name
            }
          }
        }
      }

      metrics {
        id          = "backlog"
        label       = "Runs that wait, per task"
        expression  = "queued / tasks"
        return_data = true
      }
    }
  }
}
