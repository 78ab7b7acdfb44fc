variable "name" {
  description = "Prefix of every name: interlock-<environment>."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "name is 3 to 31 characters: lower-case letters, digits and hyphens, a letter first."
  }
}

variable "environment" {
  description = "dev, staging or prod."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "environment is dev, staging or prod."
  }
}

variable "tags" {
  # Any tags that AWS takes are right.
  description = "Tags of every resource, besides the provider's default tags."
  type        = map(string)
  default     = {}
}

variable "cidr" {
  description = "Addresses of the VPC, /16 to /20. A /16 has room for 24,000 tasks at once, a /20 for 1,500."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.cidr)) && can(regex("/(16|17|18|19|20)$", var.cidr))
    error_message = "cidr is an IPv4 network in CIDR notation, /16 to /20."
  }
}

variable "zones" {
  description = "Three availability zones of the region."
  type        = list(string)

  validation {
    condition     = length(var.zones) == 3 && length(distinct(var.zones)) == 3
    error_message = "zones names three different availability zones."
  }
}

variable "nat_gateways" {
  description = "NAT gateways: 0 where no data source lies outside AWS, 1 to save money, 3 so that no zone depends on another."
  type        = number
  default     = 0

  validation {
    condition     = contains([0, 1, 2, 3], var.nat_gateways)
    error_message = "nat_gateways is 0, 1, 2 or 3: at most one for each zone."
  }
}

variable "interface_endpoints" {
  description = "AWS services that are reached inside the VPC; ecs-agent and ecs-telemetry for the machines of Batch's spot environment. Without a NAT gateway tasks reach these and S3, and nothing else."
  type        = set(string)
  default = [
    "aps-workspaces", "batch", "ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "elasticfilesystem", "kms", "logs", "monitoring",
    "secretsmanager", "sts",
  ]

  validation {
    condition     = length(setsubtract(["ecr.api", "ecr.dkr", "kms", "logs", "secretsmanager"], var.interface_endpoints)) == 0
    error_message = "interface_endpoints includes ecr.api, ecr.dkr, kms, logs and secretsmanager: without them no task starts."
  }
}

variable "flow_log_retention_days" {
  description = "How long CloudWatch keeps who spoke to whom."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.flow_log_retention_days)
    error_message = "flow_log_retention_days is one of CloudWatch's steps: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 ..."
  }
}

variable "kms_key_arn" {
  description = "KMS key of the flow logs. Its policy must admit CloudWatch Logs of this region."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a KMS key."
  }
}
