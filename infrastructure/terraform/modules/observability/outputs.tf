output "prometheus_endpoint" {
  description = "Address of Managed Prometheus, for Grafana's data source."
  value       = aws_prometheus_workspace.this.prometheus_endpoint
}

output "prometheus_workspace_arn" {
  description = "ARN of the Managed Prometheus workspace."
  value       = aws_prometheus_workspace.this.arn
}

output "grafana_endpoint" {
  description = "Host name of Grafana; null where none is made here."
  value       = one(aws_grafana_workspace.this[*].endpoint)
}

output "topic_arn" {
  description = "Topic of alarms and alerts."
  value       = aws_sns_topic.this["alerts"].arn
}

output "alarm_names" {
  description = "Names of all alarms; a deployment watches them in its first minutes."
  value       = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name]
}

output "scraped" {
  description = "What the collector asks, and on which port."
  value       = local.targets
}
