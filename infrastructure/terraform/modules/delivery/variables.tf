variable "name" {
  description = "Prefix of every name: interlock-<environment>."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "name is 3 to 31 characters: lower-case letters, digits and hyphens, a letter first."
  }
}

variable "environment" {
  description = "dev, staging or prod; also the name of the GitHub environment that may deploy."
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

variable "github_repository" {
  description = "The repository whose workflows may take these roles: owner/name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository is owner/name, with no wildcard."
  }
}

variable "github_branch" {
  description = "The branch whose builds may push images."
  type        = string
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9._/-]+$", var.github_branch))
    error_message = "github_branch is the name of one branch, with no wildcard."
  }
}

variable "oidc_provider_arn" {
  description = "GitHub's identity provider in this account where there is one already; null makes it."
  type        = string
  default     = null

  validation {
    condition     = var.oidc_provider_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/", var.oidc_provider_arn))
    error_message = "oidc_provider_arn is the ARN of an identity provider, or null."
  }
}

variable "repository_arns" {
  description = "ECR repositories of platform, dagster and mlflow."
  type        = map(string)

  validation {
    condition     = alltrue([for image in ["platform", "dagster", "mlflow"] : contains(keys(var.repository_arns), image)])
    error_message = "repository_arns names platform, dagster and mlflow."
  }
}

variable "cluster_arn" {
  description = "ARN of the ECS cluster."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:ecs:", var.cluster_arn))
    error_message = "cluster_arn is the ARN of a cluster."
  }
}

variable "cluster_name" {
  description = "Name of the ECS cluster."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,255}$", var.cluster_name))
    error_message = "cluster_name is a name, not an ARN."
  }
}

variable "oidc_client_secret_arn" {
  description = "Secret of the load balancer's sign-in, which a plan reads."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:secretsmanager:", var.oidc_client_secret_arn))
    error_message = "oidc_client_secret_arn is the ARN of a secret, not the secret itself."
  }
}

variable "state_bucket_arn" {
  description = "Bucket of Terraform's state, which a plan reads."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:s3:", var.state_bucket_arn))
    error_message = "state_bucket_arn is the ARN of a bucket."
  }
}

variable "state_key_arn" {
  description = "KMS key of Terraform's state."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.state_key_arn))
    error_message = "state_key_arn is the ARN of a KMS key."
  }
}

variable "storage_key_arn" {
  description = "KMS key of the buckets, whose environment marks a plan compares."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.storage_key_arn))
    error_message = "storage_key_arn is the ARN of a KMS key."
  }
}
