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

variable "repositories" {
  description = "Images that are kept, one repository each, named <name>/<image>."
  type        = set(string)
  default     = ["platform", "dagster", "mlflow"]

  validation {
    condition     = alltrue([for image in var.repositories : can(regex("^[a-z][a-z0-9-]*$", image))]) && length(var.repositories) > 0
    error_message = "repositories holds at least one name of lower-case letters, digits and hyphens."
  }
}

variable "kms_key_arn" {
  description = "KMS key that encrypts the images."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a KMS key."
  }
}

variable "kept_images" {
  description = "How many tagged images a repository keeps; older ones expire, so a rollback reaches this far back."
  type        = number
  default     = 100

  validation {
    condition     = var.kept_images >= 10 && var.kept_images <= 1000 && floor(var.kept_images) == var.kept_images
    error_message = "kept_images is a whole number from 10 to 1000: a rollback needs older images."
  }
}

variable "force_delete" {
  description = "Whether destroying the repository also deletes its images; for dev alone."
  type        = bool
  default     = false

  validation {
    condition     = !var.force_delete || var.environment == "dev"
    error_message = "force_delete is possible in dev alone."
  }
}
