variable "name" {
  description = "Prefix of every name: interlock-<environment>."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,30}$", var.name))
    error_message = "name is 3 to 31 characters: lower-case letters, digits and hyphens, a letter first."
  }
}

variable "environment" {
  description = "dev, staging or prod; what the buckets are marked for and every process is told."
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

# Where it runs.

variable "vpc_id" {
  description = "VPC of everything here."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "vpc_id is the id of a VPC: vpc-..."
  }
}

variable "private_subnet_ids" {
  description = "Subnets of all tasks, one per zone."
  type        = list(string)

  validation {
    condition     = length(var.private_subnet_ids) >= 2
    error_message = "private_subnet_ids names subnets in at least two zones."
  }
}

variable "public_subnet_ids" {
  description = "Subnets of the load balancer, one per zone; private ones where it is internal."
  type        = list(string)

  validation {
    condition     = length(var.public_subnet_ids) >= 2
    error_message = "public_subnet_ids names subnets in at least two zones, which a load balancer demands."
  }
}

variable "endpoint_security_group_id" {
  description = "Security group of the VPC's interface endpoints."
  type        = string

  validation {
    condition     = startswith(var.endpoint_security_group_id, "sg-")
    error_message = "endpoint_security_group_id is the id of a security group: sg-..."
  }
}

variable "s3_prefix_list_id" {
  description = "Prefix list of S3's gateway endpoint."
  type        = string

  validation {
    condition     = startswith(var.s3_prefix_list_id, "pl-")
    error_message = "s3_prefix_list_id is the id of a prefix list: pl-..."
  }
}

variable "https_egress_cidrs" {
  description = "Networks that tasks may reach on port 443 besides the VPC's endpoints: data sources, AWS interfaces without an endpoint."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.https_egress_cidrs : can(cidrnetmask(cidr))])
    error_message = "https_egress_cidrs holds IPv4 networks in CIDR notation."
  }
}

# What it stores.

variable "data_bucket" {
  description = "Bucket of snapshots."
  type        = object({ id = string, arn = string })

  validation {
    condition     = startswith(var.data_bucket.arn, "arn:") && endswith(var.data_bucket.arn, ":${var.data_bucket.id}")
    error_message = "data_bucket has the ARN of the bucket that it names."
  }
}

variable "artifact_bucket" {
  description = "Bucket of MLflow's artifacts and of what steps print."
  type        = object({ id = string, arn = string })

  validation {
    condition     = startswith(var.artifact_bucket.arn, "arn:") && endswith(var.artifact_bucket.arn, ":${var.artifact_bucket.id}")
    error_message = "artifact_bucket has the ARN of the bucket that it names."
  }
}

variable "audit_bucket" {
  description = "Bucket of the audit trail, with Object Lock."
  type        = object({ id = string, arn = string })

  validation {
    condition     = startswith(var.audit_bucket.arn, "arn:") && endswith(var.audit_bucket.arn, ":${var.audit_bucket.id}")
    error_message = "audit_bucket has the ARN of the bucket that it names."
  }
}

variable "storage_key_arn" {
  description = "KMS key of the three buckets."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.storage_key_arn))
    error_message = "storage_key_arn is the ARN of a KMS key."
  }
}

variable "signing" {
  description = "The two keys that sign: their ARNs, aliases, and what checks their signatures, PEM. No run may use either."
  type = object({
    approval_key_arn     = string
    approval_key_alias   = string
    approval_public_keys = string
    identity_key_arn     = string
    identity_key_alias   = string
    identity_public_keys = string
  })

  validation {
    condition     = alltrue([for arn in [var.signing.approval_key_arn, var.signing.identity_key_arn] : can(regex("^arn:[a-z-]+:kms:", arn))])
    error_message = "signing names two KMS keys by ARN."
  }
  validation {
    condition     = alltrue([for alias in [var.signing.approval_key_alias, var.signing.identity_key_alias] : startswith(alias, "alias/")])
    error_message = "Aliases begin with alias/."
  }
}

variable "kms_key_arn" {
  description = "KMS key of logs, secrets and the spool. Its policy must admit CloudWatch Logs of this region."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a KMS key."
  }
}

variable "database" {
  description = "The Aurora cluster: its address, and the secrets ({username, password}) of its administrator, Dagster and MLflow."
  type = object({
    endpoint           = string
    port               = number
    security_group_id  = string
    master_secret_arn  = string
    dagster_secret_arn = string
    mlflow_secret_arn  = string
  })

  validation {
    condition     = var.database.port > 0 && var.database.port < 65536 && alltrue([for secret in [var.database.master_secret_arn, var.database.dagster_secret_arn, var.database.mlflow_secret_arn] : can(regex("^arn:[a-z-]+:secretsmanager:", secret))])
    error_message = "database has a port and the ARNs of three secrets, never a password."
  }
}

# What runs.

variable "images" {
  description = "Image of platform, dagster and mlflow, with digest or an immutable tag."
  type        = map(string)

  validation {
    condition     = toset(keys(var.images)) == toset(["platform", "dagster", "mlflow"])
    error_message = "images names exactly platform, dagster and mlflow."
  }
  validation {
    condition     = alltrue([for image in values(var.images) : can(regex("(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]*)$", image)) && !endswith(image, ":latest")])
    error_message = "Each image is given by digest or by a tag other than latest: what runs must be known."
  }
}

variable "settings" {
  description = "Interlock's own environment variables (.env.example), but those that this module gives itself."
  type        = map(string)
  default     = {}

  validation {
    condition = length(setsubtract(keys(var.settings), [
      "ALLOWED_PROD_ROLES", "RUN_TEAMS", "ALLOWED_STAGING_ROLES", "AUDIT_LOG_PREFIX", "AUDIT_RETENTION_DAYS", "BASELINE_DATA_HASH",
      "DRIFT_THRESHOLD", "IDENTITY_SOURCE", "MIN_ACCURACY", "MIN_F1_SCORE", "RUN_OWNER", "RUN_ROLE",
    ])) == 0
    error_message = "settings holds variables of .env.example that say how Interlock decides; addresses, buckets and secrets come from this module."
  }
  validation {
    condition = var.environment == "dev" || alltrue([
      for required in ["AUDIT_RETENTION_DAYS", "IDENTITY_SOURCE", "RUN_OWNER", "RUN_ROLE"] : lookup(var.settings, required, "") != ""
    ])
    error_message = "Outside dev settings must give AUDIT_RETENTION_DAYS, IDENTITY_SOURCE, RUN_OWNER and RUN_ROLE: only dev has defaults."
  }
}

variable "sizes" {
  description = "CPU units, MiB and number of tasks of each service; a service with max above min scales between them."
  type = map(object({
    cpu    = number
    memory = number
    min    = optional(number, 1)
    max    = optional(number, 1)
  }))
  default = {
    code-server       = { cpu = 1024, memory = 4096, min = 1, max = 2 }
    dagster-webserver = { cpu = 512, memory = 1024, min = 1, max = 4 }
    dagster-daemon    = { cpu = 512, memory = 1024 }
    mlflow            = { cpu = 1024, memory = 2048, min = 1, max = 4 }
    console           = { cpu = 256, memory = 1024 }
    dagster-exporter  = { cpu = 256, memory = 512 }
    drift-monitor     = { cpu = 512, memory = 2048 }
  }

  validation {
    condition = toset(keys(var.sizes)) == toset([
      "code-server", "dagster-webserver", "console", "dagster-daemon", "mlflow", "dagster-exporter", "drift-monitor",
    ])
    error_message = "sizes names exactly code-server, dagster-webserver, console, dagster-daemon, mlflow, dagster-exporter and drift-monitor."
  }
  validation {
    condition = alltrue([for size in values(var.sizes) :
    contains([256, 512, 1024, 2048, 4096, 8192, 16384], size.cpu) && size.memory >= 2 * size.cpu && size.memory <= 8 * size.cpu && size.memory % 512 == 0])
    error_message = "Fargate offers 256 to 16384 CPU units in powers of two, with 2 to 8 MiB per unit."
  }
  validation {
    condition     = alltrue([for size in values(var.sizes) : size.min >= 1 && size.max >= size.min])
    error_message = "Each service has at least one task, and max is not below min."
  }
  validation {
    condition     = alltrue([for service in ["dagster-daemon", "console", "dagster-exporter", "drift-monitor"] : try(var.sizes[service].max, 1) == 1])
    error_message = "dagster-daemon, console, dagster-exporter and drift-monitor run once: a second daemon would start every tick twice, a second exporter report everything twice, a second console not know the forms of the first."
  }
}

variable "run" {
  description = "A run: CPU units, MiB, GiB of scratch space, and how many may run at once."
  type = object({
    cpu            = optional(number, 2048)
    memory         = optional(number, 8192)
    storage        = optional(number, 50)
    max_concurrent = optional(number, 10)
  })
  default = {}

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.run.cpu) && var.run.memory >= 2 * var.run.cpu && var.run.memory <= 8 * var.run.cpu
    error_message = "Fargate offers 256 to 16384 CPU units in powers of two, with 2 to 8 MiB per unit."
  }
  validation {
    condition     = var.run.storage >= 21 && var.run.storage <= 200
    error_message = "A Fargate task has 21 to 200 GiB of scratch space."
  }
  validation {
    condition     = var.run.max_concurrent >= 1 && var.run.max_concurrent <= 1000
    error_message = "1 to 1000 runs at once; the account's Fargate quota holds as well."
  }
}

variable "cpu_architecture" {
  description = "X86_64 or ARM64, as the images are built."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture is X86_64 or ARM64."
  }
}

variable "batch_job_queue" {
  description = "Name of the Batch queue for bursts; empty where there is none."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{0,128}$", var.batch_job_queue))
    error_message = "batch_job_queue is the name of a queue, not its ARN."
  }
}

variable "batch_job_definition" {
  description = "Name of the Batch job definition for bursts; empty where there is none."
  type        = string
  default     = ""

  validation {
    condition     = (var.batch_job_definition == "") == (var.batch_job_queue == "")
    error_message = "batch_job_queue and batch_job_definition are given together or not at all."
  }
}

# Who reaches it.

variable "hosts" {
  description = "Host names of Dagster, the console and MLflow at the load balancer; the certificate must cover all."
  type        = object({ dagster = string, console = string, mlflow = string })

  validation {
    condition     = alltrue([for host in values(var.hosts) : can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)+$", host))]) && length(distinct(values(var.hosts))) == 3
    error_message = "hosts holds three different fully qualified names in lower case."
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
    condition     = length(var.people.roles) > 0 && alltrue([for each in var.people.roles : contains(["viewer", "data_scientist", "ml_engineer", "approver", "auditor", "platform_admin"], each.role)])
    error_message = "people gives at least one group a role: viewer, data_scientist, ml_engineer, approver, auditor or platform_admin."
  }
  validation {
    condition     = alltrue([for each in var.people.teams : can(regex("^[A-Za-z0-9_-]+$", each.team))])
    error_message = "Teams are named as products name them: letters, digits, hyphens, underscores."
  }
}

variable "certificate_arn" {
  description = "ACM certificate of the load balancer."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:acm:", var.certificate_arn))
    error_message = "certificate_arn is the ARN of a certificate in ACM."
  }
}

variable "oidc" {
  description = "The identity provider that people sign in with. The client's secret is read from Secrets Manager; a load balancer takes it in no other way than through Terraform's state."
  type = object({
    issuer                 = string
    authorization_endpoint = string
    token_endpoint         = string
    user_info_endpoint     = string
    client_id              = string
    client_secret_arn      = string
  })

  validation {
    condition     = alltrue([for url in [var.oidc.issuer, var.oidc.authorization_endpoint, var.oidc.token_endpoint, var.oidc.user_info_endpoint] : startswith(url, "https:")])
    error_message = "Issuer and endpoints begin with https."
  }
  validation {
    condition     = can(regex("^arn:[a-z-]+:secretsmanager:", var.oidc.client_secret_arn))
    error_message = "client_secret_arn is the ARN of a secret in Secrets Manager, not the secret itself."
  }
}

variable "allowed_cidrs" {
  description = "Networks whose browsers may reach the load balancer; nobody else passes its ports."
  type        = set(string)

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrnetmask(cidr))])
    error_message = "allowed_cidrs holds at least one IPv4 network in CIDR notation."
  }
}

variable "internal" {
  description = "Whether the load balancer has private addresses only, for a VPN or a peered network."
  type        = bool
  default     = false
}

# How long things stay.

variable "log_retention_days" {
  description = "How long CloudWatch keeps what services and runs print."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is one of CloudWatch's steps: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 ..."
  }
}

variable "deletion_protection" {
  description = "Whether the load balancer resists being deleted."
  type        = bool
  default     = true

  validation {
    condition     = var.deletion_protection || var.environment == "dev"
    error_message = "Only dev may do without deletion protection."
  }
}

variable "force_destroy" {
  description = "Whether destroying also empties the bucket of access logs and drops secrets at once; for dev alone."
  type        = bool
  default     = false

  validation {
    condition     = !var.force_destroy || var.environment == "dev"
    error_message = "force_destroy is possible in dev alone."
  }
}

variable "run_signing_key" {
  description = "RUN_SIGNING_KEY, stored in Secrets Manager when signing_key_version changes; it enters no plan and no state."
  type        = string
  ephemeral   = true
  sensitive   = true

  validation {
    condition     = length(var.run_signing_key) >= 32
    error_message = "run_signing_key has 32 characters or more."
  }
}

variable "signing_key_version" {
  description = "Counts rotations of RUN_SIGNING_KEY; raise it while the queue is empty."
  type        = number
  default     = 1

  validation {
    condition     = var.signing_key_version >= 1 && floor(var.signing_key_version) == var.signing_key_version
    error_message = "signing_key_version is a whole number from 1."
  }
}

variable "scaling" {
  description = "Targets of the three signals: percent of CPU, requests per target and minute, queued runs per task."
  type = object({
    cpu_percent         = optional(number, 60)
    requests_per_target = optional(number, 600)
    queued_per_task     = optional(number, 10)
  })
  default = {}

  validation {
    condition     = var.scaling.cpu_percent >= 20 && var.scaling.cpu_percent <= 90 && var.scaling.requests_per_target > 0 && var.scaling.queued_per_task > 0
    error_message = "cpu_percent is 20 to 90, the other two are above 0."
  }
}
