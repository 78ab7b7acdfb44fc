output "queue_arns" {
  description = "ARN of each queue: burst, spot."
  value       = { for kind, queue in aws_batch_job_queue.this : kind => queue.arn }
}

output "queue_names" {
  description = "Name of each queue: burst, spot."
  value       = { for kind, queue in aws_batch_job_queue.this : kind => queue.name }
}

output "job_definition_name" {
  description = "Name of the job definition of the burst queue, which Dagster's launcher uses."
  value       = aws_batch_job_definition.run["burst"].name
}

output "job_definition_names" {
  description = "Name of the job definition for each queue."
  value       = { for kind, definition in aws_batch_job_definition.run : kind => definition.name }
}
