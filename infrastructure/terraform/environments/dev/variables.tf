# The dozen or so values that only the operator knows. terraform.tfvars.example shows one of each; the rest
# of an environment is in its main.tf.

variable "region" {
  description = "AWS region of everything."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region is one such as eu-central-1."
  }
}

variable "account_id" {
  description = "Account of this environment; an apply in another one is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id is the twelve digits of an account, in quotes."
  }
}

variable "owner" {
  description = "Who answers for this environment: a tag, and RUN_OWNER, in whose name runs act."
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
  description = "Role that Terraform acts in, the one that may change policies, locks and keys."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", var.administrator_role_arn))
    error_message = "administrator_role_arn is the ARN of one role, without wildcards."
  }
}

variable "approver_principal_arn" {
  description = "Role of the people who approve; they may take the role <name>-approver."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:(iam|sts)::[0-9]{12}:(role|user|assumed-role)/[A-Za-z0-9+=,.@_/-]+$", var.approver_principal_arn))
    error_message = "approver_principal_arn is the ARN of one role, without wildcards."
  }
}

variable "zones" {
  description = "Three availability zones of the region."
  type        = list(string)

  validation {
    condition     = length(distinct(var.zones)) == 3
    error_message = "zones names three different availability zones."
  }
}

variable "cidr" {
  description = "Addresses of the VPC, /16 to /20, that no other network of yours has."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.cidr))
    error_message = "cidr is an IPv4 network in CIDR notation."
  }
}

variable "https_egress_cidrs" {
  description = "Networks outside AWS where data sources are; needs a NAT gateway."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.https_egress_cidrs : can(cidrnetmask(cidr))])
    error_message = "https_egress_cidrs holds IPv4 networks in CIDR notation."
  }
}

variable "allowed_cidrs" {
  description = "Networks whose browsers may reach the load balancer."
  type        = set(string)

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrnetmask(cidr))])
    error_message = "allowed_cidrs holds at least one IPv4 network in CIDR notation."
  }
}

variable "hosts" {
  description = "Host names of Dagster, the console and MLflow."
  type        = object({ dagster = string, console = string, mlflow = string })

  validation {
    condition     = alltrue([for host in values(var.hosts) : can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", host))])
    error_message = "hosts holds fully qualified names in lower case."
  }
}

variable "certificate_arn" {
  description = "ACM certificate for all host names, in the same region."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:acm:", var.certificate_arn))
    error_message = "certificate_arn is the ARN of a certificate in ACM."
  }
}

variable "oidc" {
  description = "The identity provider that people sign in with; its client secret lies in Secrets Manager."
  type        = object({ issuer = string, authorization_endpoint = string, token_endpoint = string, user_info_endpoint = string, client_id = string, client_secret_arn = string })

  validation {
    condition     = alltrue([for url in [var.oidc.issuer, var.oidc.authorization_endpoint, var.oidc.token_endpoint, var.oidc.user_info_endpoint] : startswith(url, "https:")])
    error_message = "Issuer and endpoints begin with https."
  }
}

variable "people" {
  description = "What the identity provider's claims mean here (docs/identity.md): the claim that names a person, the one with their groups, and the role and teams of groups. The first role that fits is theirs."
  type = object({
    subject = optional(string, "email")
    groups  = optional(string, "groups")
    roles   = list(object({ group = string, role = string }))
    teams   = optional(list(object({ group = string, team = string })), [])
  })

  validation {
    condition     = length(var.people.roles) > 0
    error_message = "people gives at least one group a role."
  }
}

variable "image_tag" {
  description = "Tag of the three images that a first apply starts; later ones come from the delivery pipeline."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag)) && var.image_tag != "latest"
    error_message = "image_tag says which images these are; latest does not."
  }
}

variable "notification_email" {
  description = "Who is told of alarms."
  type        = string

  validation {
    condition     = can(regex("^[^@[:space:]]+@[^@[:space:]]+$", var.notification_email))
    error_message = "notification_email is an address."
  }
}

variable "github_repository" {
  description = "Repository whose workflows deliver: owner/name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", var.github_repository))
    error_message = "github_repository is owner/name."
  }
}

variable "github_oidc_provider_arn" {
  description = "GitHub as identity provider, where this account knows it already; null makes it."
  type        = string
  default     = null

  validation {
    condition     = var.github_oidc_provider_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/", var.github_oidc_provider_arn))
    error_message = "github_oidc_provider_arn is the ARN of an identity provider."
  }
}

variable "state" {
  description = "Bucket and key of Terraform's state, as bootstrap gives them."
  type        = object({ bucket_arn = string, key_arn = string })

  validation {
    condition     = can(regex("^arn:[a-z-]+:s3:::", var.state.bucket_arn)) && can(regex("^arn:[a-z-]+:kms:", var.state.key_arn))
    error_message = "state gives the ARN of a bucket and of a KMS key."
  }
}

variable "replication" {
  description = "Where the audit trail is copied to: a locked bucket in another account or region; null copies nothing."
  type        = object({ bucket_arn = string, kms_key_arn = string, account_id = string })
  default     = null

  validation {
    condition     = var.replication == null || can(regex("^[0-9]{12}$", var.replication.account_id))
    error_message = "replication.account_id is the twelve digits of an account, in quotes."
  }
}

variable "secret_version" {
  description = "Counts the database passwords and the signing key; raise it by one to change them."
  type        = number
  default     = 1

  validation {
    condition     = var.secret_version >= 1 && floor(var.secret_version) == var.secret_version
    error_message = "secret_version is a whole number from 1."
  }
}
