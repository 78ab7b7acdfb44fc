variable "environment" {
  description = "dev, staging or prod."
  type        = string

  validation {
    condition     = contains(["dev", "staging", "prod"], var.environment)
    error_message = "environment is dev, staging or prod."
  }
}

variable "site" {
  description = "What only the operator knows; environments/<environment>/terraform.tfvars.example explains each field. None has a default, so that a misspelt one is noticed."
  type = object({
    region                   = string
    account_id               = string
    owner                    = string
    cost_centre              = string
    administrator_role_arn   = string
    approver_principal_arn   = string
    zones                    = list(string)
    cidr                     = string
    https_egress_cidrs       = set(string)
    allowed_cidrs            = set(string)
    hosts                    = object({ dagster = string, console = string, mlflow = string })
    certificate_arn          = string
    oidc                     = object({ issuer = string, authorization_endpoint = string, token_endpoint = string, user_info_endpoint = string, client_id = string, client_secret_arn = string })
    people                   = object({ subject = string, groups = string, roles = list(object({ group = string, role = string })), teams = list(object({ group = string, team = string })) })
    image_tag                = string
    notification_email       = string
    github_repository        = string
    github_oidc_provider_arn = string
    state                    = object({ bucket_arn = string, key_arn = string })
    replication              = object({ bucket_arn = string, kms_key_arn = string, account_id = string })
  })

  validation {
    condition     = can(regex("^[0-9]{12}$", var.site.account_id))
    error_message = "account_id is the twelve digits of an account, as text."
  }
  validation {
    condition     = alltrue([for tag in [var.site.owner, var.site.cost_centre] : trimspace(tag) != ""])
    error_message = "owner and cost_centre are tags of everything and are not empty."
  }
  validation {
    condition     = can(regex("^arn:[a-z-]+:(iam|sts)::[0-9]{12}:(role|user|assumed-role)/", var.site.approver_principal_arn))
    error_message = "approver_principal_arn is the ARN of a role or user of people, best that of a permission set for model risk."
  }
  validation {
    condition     = var.site.approver_principal_arn != var.site.administrator_role_arn
    error_message = "Approvers are not administrators: who may change the key's policy must not sign with it."
  }
  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.site.image_tag)) && var.site.image_tag != "latest"
    error_message = "image_tag is a tag that says which images these are, not latest."
  }
  validation {
    condition     = var.site.replication == null || try(var.site.replication.account_id != var.site.account_id || !strcontains(var.site.replication.kms_key_arn, ":${var.site.region}:"), false)
    error_message = "replication names another account or another region: a copy beside the original survives nothing that the original does not."
  }
}

variable "retention_days" {
  description = "For how long each audit event is locked; it can never be shortened."
  type        = number

  validation {
    condition     = var.retention_days >= 1 && floor(var.retention_days) == var.retention_days
    error_message = "retention_days is a whole number from 1."
  }
}

variable "nat_gateways" {
  description = "NAT gateways, 0 to 3. Without one, images of public registries (the collector's) must be mirrored, and data sources lie in AWS."
  type        = number

  validation {
    condition     = contains([0, 1, 2, 3], var.nat_gateways)
    error_message = "nat_gateways is 0, 1, 2 or 3: at most one for each zone."
  }
}

variable "database" {
  description = "Aurora: smallest and largest capacity (2 GiB each), instances, and days of backups."
  type = object({
    min_capacity          = number
    max_capacity          = number
    instances             = number
    backup_retention_days = number
  })

  validation {
    condition     = var.database.max_capacity >= var.database.min_capacity
    error_message = "max_capacity is not below min_capacity."
  }
}

variable "sizes" {
  description = "CPU units, MiB and number of tasks of each service (platform module)."
  type = map(object({
    cpu    = number
    memory = number
    min    = optional(number, 1)
    max    = optional(number, 1)
  }))

  validation {
    condition     = alltrue([for size in values(var.sizes) : size.max >= size.min])
    error_message = "max is not below min."
  }
}

variable "run" {
  description = "A run: CPU units, MiB, GiB of scratch space, and how many may run at once."
  type        = object({ cpu = number, memory = number, storage = number, max_concurrent = number })

  validation {
    condition     = var.run.max_concurrent >= 1
    error_message = "At least one run at a time."
  }
}

variable "max_vcpus" {
  description = "Most vCPUs of each of Batch's two compute environments."
  type        = number

  validation {
    condition     = var.max_vcpus >= 1 && floor(var.max_vcpus) == var.max_vcpus
    error_message = "max_vcpus is a whole number from 1."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept, in CloudWatch and in buckets."
  type        = number

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is one of CloudWatch's steps: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 ..."
  }
}

variable "settings" {
  description = "Interlock's own variables that say how it decides (.env.example)."
  type        = map(string)

  validation {
    condition     = length(setsubtract(["IDENTITY_SOURCE", "RUN_ROLE"], keys(var.settings))) == 0
    error_message = "settings gives IDENTITY_SOURCE and RUN_ROLE, which have no default outside dev."
  }
  validation {
    condition     = length(setintersection(["AUDIT_RETENTION_DAYS", "RUN_OWNER"], keys(var.settings))) == 0
    error_message = "AUDIT_RETENTION_DAYS and RUN_OWNER follow from retention_days and owner; do not give them twice."
  }
}

variable "deletion_protection" {
  description = "Whether database, load balancer and buckets resist being deleted."
  type        = bool
  default     = true

  validation {
    condition     = var.deletion_protection || var.environment == "dev"
    error_message = "Only dev may do without deletion protection."
  }
}

variable "passwords" {
  description = "Drawn in the environments' root (site.tf); stored when secret_version is raised, otherwise ignored."
  type        = object({ dagster = string, mlflow = string, run_signing_key = string })
  ephemeral   = true
  sensitive   = true

  validation {
    condition     = length(var.passwords.run_signing_key) >= 32
    error_message = "run_signing_key has 32 characters at least."
  }
}

variable "secret_version" {
  description = "Counts the passwords and the signing key: raised by one, new ones are stored."
  type        = number
  default     = 1

  validation {
    condition     = var.secret_version >= 1 && floor(var.secret_version) == var.secret_version
    error_message = "secret_version is a whole number from 1."
  }
}
