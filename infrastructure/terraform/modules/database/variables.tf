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

variable "vpc_id" {
  description = "VPC of the database."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "vpc_id is the id of a VPC."
  }
}

variable "subnet_ids" {
  description = "Subnets of the database, in two zones at least; best without a way out."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids names subnets in two zones at least, which Aurora demands."
  }
}

variable "allowed_security_group_ids" {
  # Keys are names for the rules; any are right.
  description = "Security groups that may connect, by who they belong to. Nothing else reaches the port."
  type        = map(string)

  validation {
    condition     = alltrue([for id in values(var.allowed_security_group_ids) : startswith(id, "sg-")])
    error_message = "allowed_security_group_ids holds ids of security groups, not networks."
  }
}

variable "min_capacity" {
  description = "Smallest capacity in Aurora capacity units (2 GiB each). 0 pauses an idle cluster, which Dagster's daemon never leaves idle."
  type        = number
  default     = 0.5

  validation {
    condition     = var.min_capacity >= 0 && var.min_capacity <= 256 && var.min_capacity * 2 == floor(var.min_capacity * 2)
    error_message = "min_capacity is 0 to 256 in steps of 0.5."
  }
}

variable "max_capacity" {
  description = "Largest capacity in Aurora capacity units."
  type        = number
  default     = 4

  validation {
    condition     = var.max_capacity >= 1 && var.max_capacity <= 256 && var.max_capacity * 2 == floor(var.max_capacity * 2)
    error_message = "max_capacity is 1 to 256 in steps of 0.5."
  }
  validation {
    condition     = var.max_capacity >= var.min_capacity
    error_message = "max_capacity is not below min_capacity."
  }
}

variable "instances" {
  description = "Instances, in zones of their own: 1, or 2 and more so that one takes over within a minute when another fails."
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 2, 3], var.instances)
    error_message = "instances is 1, 2 or 3: one for each zone at most."
  }
  validation {
    condition     = var.environment != "prod" || var.instances >= 2
    error_message = "prod has two instances at least."
  }
}

variable "kms_key_arn" {
  description = "KMS key of storage, logs, secrets and performance data. Its policy must admit CloudWatch Logs of this region."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a KMS key."
  }
}

variable "deletion_protection" {
  description = "Whether the cluster resists being deleted, and leaves a snapshot when it is."
  type        = bool
  default     = true

  validation {
    condition     = var.deletion_protection || var.environment == "dev"
    error_message = "Only dev may do without deletion protection."
  }
}

variable "backup_retention_days" {
  description = "How far back the cluster can be restored to any second."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_retention_days >= 1 && var.backup_retention_days <= 35 && floor(var.backup_retention_days) == var.backup_retention_days
    error_message = "backup_retention_days is a whole number from 1 to 35."
  }
  validation {
    condition     = var.environment == "dev" || var.backup_retention_days >= 7
    error_message = "Outside dev backups are kept for seven days at least."
  }
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps what the database logs."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is one of CloudWatch's steps: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 ..."
  }
}

variable "passwords" {
  description = "Passwords of the users dagster and mlflow; stored when secret_version is raised, otherwise ignored."
  type        = object({ dagster = string, mlflow = string })
  ephemeral   = true
  sensitive   = true

  validation {
    condition     = can(regex("^[A-Za-z0-9]{24,}$", var.passwords.dagster)) && can(regex("^[A-Za-z0-9]{24,}$", var.passwords.mlflow))
    error_message = "A password has 24 letters and digits at least, and nothing else: it stands in addresses."
  }
}

variable "secret_version" {
  description = "Counts the passwords of dagster and mlflow: raised by one, new ones are stored."
  type        = number
  default     = 1

  validation {
    condition     = var.secret_version >= 1 && floor(var.secret_version) == var.secret_version
    error_message = "secret_version is a whole number from 1."
  }
}
