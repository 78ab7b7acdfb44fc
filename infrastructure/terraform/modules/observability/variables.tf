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

variable "kms_key_arn" {
  description = "KMS key of logs and metrics. Its policy must admit CloudWatch Logs of this region."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a KMS key."
  }
}

# The very files that the composed stack uses.

variable "alert_rules" {
  description = "Content of alert_rules.yml."
  type        = string

  validation {
    condition     = can(yamldecode(var.alert_rules).groups[0].rules[0].alert)
    error_message = "alert_rules is the content of alert_rules.yml: groups of rules."
  }
}

variable "prometheus_configuration" {
  description = "Content of prometheus.yml; its scrape jobs are taken, its host names get the private namespace."
  type        = string

  validation {
    condition     = can(yamldecode(var.prometheus_configuration).scrape_configs[0].job_name)
    error_message = "prometheus_configuration is the content of prometheus.yml, with scrape_configs."
  }
}

variable "alertmanager_configuration" {
  description = "Content of monitoring/alertmanager.yml; its receivers get the topics of this module."
  type        = string

  validation {
    condition     = can(yamldecode(var.alertmanager_configuration).receivers[0].name) && can(yamldecode(var.alertmanager_configuration).route.receiver)
    error_message = "alertmanager_configuration is the content of monitoring/alertmanager.yml, with route and receivers."
  }
}

# What is watched.

variable "cluster_arn" {
  description = "ARN of the ECS cluster, where the collector runs too."
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

variable "service_names" {
  description = "Name of each ECS service, by what it is called in docker-compose.yml."
  type        = map(string)

  validation {
    condition     = length(var.service_names) > 0
    error_message = "service_names names the services to watch."
  }
}

variable "alb_arn_suffix" {
  description = "The load balancer, as CloudWatch names it."
  type        = string

  validation {
    condition     = startswith(var.alb_arn_suffix, "app/")
    error_message = "alb_arn_suffix is the end of a load balancer's ARN: app/..."
  }
}

variable "target_group_arn_suffixes" {
  description = "The target groups behind it, as CloudWatch names them."
  type        = map(string)

  validation {
    condition     = alltrue([for suffix in values(var.target_group_arn_suffixes) : startswith(suffix, "targetgroup/")])
    error_message = "target_group_arn_suffixes holds ends of target groups' ARNs: targetgroup/..."
  }
}

variable "database_cluster_identifier" {
  description = "The Aurora cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,62}$", var.database_cluster_identifier))
    error_message = "database_cluster_identifier is an identifier, not an address."
  }
}

variable "database_max_capacity" {
  description = "Most Aurora capacity units; an alarm tells when nine tenths are in use."
  type        = number

  validation {
    condition     = var.database_max_capacity >= 1
    error_message = "database_max_capacity is 1 or more."
  }
}

variable "database_max_connections" {
  description = "Connections above which an alarm tells; Aurora Serverless v2 allows about 90 per GiB that its maximum capacity holds."
  type        = number
  default     = 400

  validation {
    condition     = var.database_max_connections > 0
    error_message = "database_max_connections is above 0."
  }
}

variable "queue_alarm" {
  description = "Waiting runs above which an alarm tells when half an hour did not bring them down."
  type        = number
  default     = 50

  validation {
    condition     = var.queue_alarm > 0
    error_message = "queue_alarm is above 0."
  }
}

# Where the collector runs.

variable "vpc_id" {
  description = "VPC of the collector."
  type        = string

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "vpc_id is the id of a VPC: vpc-..."
  }
}

variable "subnet_ids" {
  description = "Private subnets of the collector."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 1
    error_message = "subnet_ids names at least one private subnet."
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

variable "https_egress_cidrs" {
  description = "Networks that the collector may reach on port 443 besides the VPC's endpoints; it needs Managed Prometheus and CloudWatch Logs, and the registry of its image."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.https_egress_cidrs : can(cidrnetmask(cidr))])
    error_message = "https_egress_cidrs holds IPv4 networks in CIDR notation."
  }
}

variable "namespace" {
  description = "Private DNS namespace in which the services are found."
  type        = string

  validation {
    condition     = endswith(var.namespace, ".interlock.internal")
    error_message = "namespace is that of the platform module: <environment>.interlock.internal."
  }
}

variable "scrape_security_group_ids" {
  description = "Security groups of what is scraped, by its name in prometheus.yml."
  type        = map(string)

  validation {
    condition     = alltrue([for id in values(var.scrape_security_group_ids) : startswith(id, "sg-")])
    error_message = "scrape_security_group_ids holds ids of security groups: sg-..."
  }
}

variable "execution_role_arn" {
  description = "Role with which ECS starts containers."
  type        = string

  validation {
    condition     = can(regex("^arn:[a-z-]+:iam:", var.execution_role_arn))
    error_message = "execution_role_arn is the ARN of a role."
  }
}

variable "collector_image" {
  description = "The AWS distribution of the OpenTelemetry collector, with a tag other than latest."
  type        = string
  default     = "public.ecr.aws/aws-observability/aws-otel-collector:v0.49.0"

  validation {
    condition     = can(regex("(@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]*)$", var.collector_image)) && !endswith(var.collector_image, ":latest")
    error_message = "The image is given by digest or by a tag other than latest."
  }
}

variable "cpu_architecture" {
  description = "X86_64 or ARM64."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture is X86_64 or ARM64."
  }
}

# Who hears of it.

variable "notification_email" {
  description = "Who is told of alarms and alerts; null where a subscription is made elsewhere."
  type        = string
  default     = null

  validation {
    condition     = var.notification_email == null || can(regex("^[^@ ]+@[^@ ]+$", var.notification_email))
    error_message = "notification_email is one address."
  }
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the collector's log and Managed Prometheus's."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is one of CloudWatch's steps: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 ..."
  }
}

variable "managed_alerts" {
  description = "Whether Managed Prometheus sends alerts; without, an Alertmanager elsewhere has to."
  type        = bool
  default     = true
}

variable "managed_grafana" {
  description = "Whether a Grafana workspace is made; without, an existing one shows the dashboards."
  type        = bool
  default     = true
}

variable "grafana_authentication" {
  description = "How people sign in to Grafana: AWS_SSO, SAML or both."
  type        = set(string)
  default     = ["AWS_SSO"]

  validation {
    condition     = length(var.grafana_authentication) > 0 && length(setsubtract(var.grafana_authentication, ["AWS_SSO", "SAML"])) == 0
    error_message = "grafana_authentication is AWS_SSO, SAML or both."
  }
}
