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

variable "subnet_ids" {
  description = "Private subnets of the jobs."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 1
    error_message = "subnet_ids names at least one private subnet."
  }
}

variable "run_security_group_id" {
  description = "Security group of runs; Batch's instances and jobs have the same."
  type        = string

  validation {
    condition     = startswith(var.run_security_group_id, "sg-")
    error_message = "run_security_group_id is the id of a security group: sg-..."
  }
}

variable "run_task_role_arn" {
  description = "Role of runs."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam:", var.run_task_role_arn))
    error_message = "run_task_role_arn is the ARN of a role."
  }
}

variable "execution_role_arn" {
  description = "Role that starts containers."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam:", var.execution_role_arn))
    error_message = "execution_role_arn is the ARN of a role."
  }
}

variable "image" {
  description = "Image of runs, with digest or an immutable tag."
  type        = string

  validation {
    condition     = can(regex("(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]*)$", var.image)) && !endswith(var.image, ":latest")
    error_message = "The image is given by digest or by a tag other than latest: what runs must be known."
  }
}

variable "environment_variables" {
  description = "Environment variables of a run, as the platform module gives them to its own."
  type        = map(string)

  validation {
    condition     = lookup(var.environment_variables, "ENVIRONMENT", "") == var.environment
    error_message = "environment_variables are those of a run of this environment."
  }
}

variable "secrets" {
  description = "Secrets of a run by variable: where Secrets Manager keeps them, not what they are."
  type        = map(string)

  validation {
    condition     = alltrue([for location in values(var.secrets) : can(regex("^arn:[a-z-]+:secretsmanager:", location))])
    error_message = "secrets holds ARNs of Secrets Manager, never a secret itself."
  }
}

variable "spool" {
  description = "File system and access point where runs keep audit records that S3 did not take."
  type        = object({ file_system_id = string, access_point_id = string })

  validation {
    condition     = startswith(var.spool.file_system_id, "fs-") && startswith(var.spool.access_point_id, "fsap-")
    error_message = "spool names a file system and an access point of EFS."
  }
}

variable "log_group_name" {
  description = "CloudWatch log group of runs."
  type        = string

  validation {
    condition     = startswith(var.log_group_name, "/interlock/")
    error_message = "log_group_name is the log group of runs: /interlock/..."
  }
}

variable "max_vcpus" {
  description = "Most vCPUs of each of the two compute environments; what a burst may cost follows from it."
  type        = number
  default     = 64

  validation {
    condition     = var.max_vcpus >= 1 && var.max_vcpus <= 10000 && floor(var.max_vcpus) == var.max_vcpus
    error_message = "max_vcpus is a whole number from 1 to 10000."
  }
}

variable "job" {
  description = "vCPUs and MiB of a job, and seconds after which it is ended; a run's tags may ask for another size."
  type = object({
    vcpus   = optional(number, 4)
    memory  = optional(number, 16384)
    timeout = optional(number, 14400)
  })
  default = {}

  validation {
    condition     = contains([1, 2, 4, 8, 16], var.job.vcpus) && var.job.memory >= 2048 * var.job.vcpus && var.job.memory <= 8192 * var.job.vcpus
    error_message = "Fargate offers 1, 2, 4, 8 or 16 vCPUs with 2 to 8 GiB each."
  }
  validation {
    condition     = var.job.timeout >= 60
    error_message = "Batch ends jobs after 60 seconds or more."
  }
}

variable "instance_types" {
  description = "Families and types that the spot environment may take; the more, the fewer interruptions."
  type        = list(string)
  default     = ["m6i", "m7i", "r6i", "r7i"]

  validation {
    condition     = length(var.instance_types) > 0
    error_message = "instance_types names at least one family or type."
  }
}

variable "cpu_architecture" {
  description = "X86_64 or ARM64, as the image is built; instance_types must agree."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture is X86_64 or ARM64."
  }
}
