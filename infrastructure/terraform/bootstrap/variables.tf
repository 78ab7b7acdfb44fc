variable "region" {
  description = "AWS region of the states."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region is one such as eu-central-1."
  }
}

variable "account_id" {
  description = "Account of the states; an apply in another one is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id is the twelve digits of an account, in quotes."
  }
}

variable "owner" {
  description = "Who answers for the states: a tag."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9+=.@_/ -]{1,100}$", var.owner))
    error_message = "owner is one line that a tag may hold."
  }
}

variable "cost_centre" {
  description = "Who pays: a tag."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9+=.@_/ -]{1,100}$", var.cost_centre))
    error_message = "cost_centre is one line that a tag may hold."
  }
}

variable "administrator_role_arn" {
  description = "Role that Terraform acts in, the one that may change the policies of bucket and key."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", var.administrator_role_arn))
    error_message = "administrator_role_arn is the ARN of one role, without wildcards."
  }
}
