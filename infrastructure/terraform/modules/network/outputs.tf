output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "vpc_cidr" {
  description = "Its addresses."
  value       = aws_vpc.this.cidr_block
}

output "private_subnet_ids" {
  description = "Subnets of tasks, in the order of the zones."
  value       = [for zone in var.zones : aws_subnet.private[zone].id]
}

output "public_subnet_ids" {
  description = "Subnets of the load balancer, in the order of the zones."
  value       = [for zone in var.zones : aws_subnet.public[zone].id]
}

output "database_subnet_ids" {
  description = "Subnets of the database, in the order of the zones; no route leads out of them."
  value       = [for zone in var.zones : aws_subnet.database[zone].id]
}

output "endpoint_security_group_id" {
  description = "Security group of the interface endpoints."
  value       = aws_security_group.endpoints.id
}

output "s3_prefix_list_id" {
  description = "Prefix list of the S3 gateway endpoint, for rules of security groups."
  value       = aws_vpc_endpoint.s3.prefix_list_id
}
