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

variable "retention_days" {
  description = "For how long each audit event is locked, in COMPLIANCE mode: nobody can shorten it, not even AWS's root user."
  type        = number

  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 36500 && floor(var.retention_days) == var.retention_days
    error_message = "retention_days is a whole number from 1 to 36500, as interlock/variables.py takes it."
  }
  validation {
    condition     = var.environment != "prod" || var.retention_days >= 365
    error_message = "In prod audit events are locked for a year at least."
  }
}

variable "administrator_role_arn" {
  description = "The one role that may change policies, locks and keys; Terraform has to act in it. It can neither delete audit events nor sign approvals."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", var.administrator_role_arn))
    error_message = "administrator_role_arn is the ARN of one IAM role, without wildcards."
  }
}

variable "approver_role_arn" {
  description = "The one role that may sign approvals. It need not exist yet."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", var.approver_role_arn))
    error_message = "approver_role_arn is the ARN of one IAM role, without wildcards."
  }
  validation {
    condition     = var.approver_role_arn != var.administrator_role_arn
    error_message = "Approver and administrator are two roles: who administers the key must not sign with it."
  }
}

variable "signing_role_arns" {
  description = "Roles of the tasks that know who acts: web server and console sign approvals too, the daemon does not. They need not exist yet."
  type        = object({ webserver = string, console = string, daemon = string })

  validation {
    condition     = alltrue([for arn in values(var.signing_role_arns) : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "signing_role_arns holds the ARN of one IAM role each, without wildcards."
  }
  validation {
    condition     = !contains(values(var.signing_role_arns), var.administrator_role_arn)
    error_message = "Who administers a key must not sign with it."
  }
}

variable "replication" {
  description = "Where the audit trail is copied to: a bucket with Object Lock in another account or region, its key and its account. null copies nothing."
  type = object({
    bucket_arn  = string
    kms_key_arn = string
    account_id  = string
  })
  default = null

  validation {
    condition = var.replication == null || try(
      can(regex("^arn:[a-z-]+:s3:::[a-z0-9.-]+$", var.replication.bucket_arn)) &&
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.replication.kms_key_arn)) &&
      can(regex("^[0-9]{12}$", var.replication.account_id)), false
    )
    error_message = "replication gives the ARN of a bucket, the ARN of a KMS key and the number of an account."
  }
}

variable "archive_after_days" {
  description = "After how many days snapshots and models move to STANDARD_IA: half the price for keeping, more for reading."
  type        = number
  default     = 90

  validation {
    condition     = var.archive_after_days >= 30 && floor(var.archive_after_days) == var.archive_after_days
    error_message = "archive_after_days is a whole number from 30, which S3 demands of STANDARD_IA."
  }
}

variable "log_retention_days" {
  description = "For how many days access logs and what steps printed are kept."
  type        = number
  default     = 365

  validation {
    condition     = var.log_retention_days >= 1 && floor(var.log_retention_days) == var.log_retention_days
    error_message = "log_retention_days is a whole number from 1."
  }
}

variable "force_destroy" {
  description = "Whether destroying also empties the buckets; for dev alone. Locked audit events withstand it until their retention ends."
  type        = bool
  default     = false

  validation {
    condition     = !var.force_destroy || var.environment == "dev"
    error_message = "force_destroy is possible in dev alone."
  }
}
