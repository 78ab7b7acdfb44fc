# What each container is told. Values that are no secret stand in `environment`; secrets are named in
# `secrets` and reach the container from Secrets Manager when it starts, never through Terraform.

locals {
  user_id      = 10001 # interlock in all images
  audit_prefix = "${trimsuffix(lookup(var.settings, "AUDIT_LOG_PREFIX", "governance/audit/"), "/")}/"

  password = "password::" # of a secret that is JSON, the newest version
  secrets = {
    dagster_password = "${var.database.dagster_secret_arn}:${local.password}"
    mlflow_password  = "${var.database.mlflow_secret_arn}:${local.password}"
    signing_key      = aws_secretsmanager_secret.signing_key.arn
    exporter_token   = aws_secretsmanager_secret.token["exporter"].arn
    jobs_token       = aws_secretsmanager_secret.token["jobs"].arn
  }

  # Where things are stored, and for which environment. No endpoint and no key: S3 of this region, with the
  # task's own role.
  storage = {
    ENVIRONMENT              = var.environment
    DATA_BUCKET              = var.data_bucket.id
    ARTIFACT_BUCKET          = var.artifact_bucket.id
    AUDIT_BUCKET             = var.audit_bucket.id
    AWS_DEFAULT_REGION       = local.region
    AWS_REGION               = local.region
    MLFLOW_TRACKING_URI      = "http://mlflow.${local.namespace}:${local.ports.mlflow}"
    MLFLOW_DISABLE_TELEMETRY = "true"
    GIT_PYTHON_REFRESH       = "quiet" # no git in the images, and none needed
  }

  # How Interlock decides, and whose signatures it believes.
  governance = merge(var.settings, {
    APPROVAL_PUBLIC_KEYS = var.signing.approval_public_keys
    IDENTITY_PUBLIC_KEYS = var.signing.identity_public_keys
  })

  # For those that know who acts. No run and no code server is told of either key.
  sign_identities = { IDENTITY_KEY = "awskms:///${var.signing.identity_key_alias}" }
  sign_decisions  = { APPROVAL_KEY = "awskms:///${var.signing.approval_key_alias}" }
  web = {
    IDENTITY_MAPPING = jsonencode(merge(var.people, {
      proxy = { kind = "alb", issuer = var.oidc.issuer, client_id = var.oidc.client_id, signer = aws_lb.this.arn }
    }))
    INTERLOCK_HOME = "/tmp/interlock"
  }

  # Dagster's instance, for everything that opens it (docker/dagster/aws/dagster.yaml).
  instance = {
    DAGSTER_HOME         = "/opt/dagster/aws"
    DAGSTER_DB_HOST      = var.database.endpoint
    PGSSLMODE            = "require"
    ARTIFACT_BUCKET      = var.artifact_bucket.id
    AWS_DEFAULT_REGION   = local.region
    AWS_REGION           = local.region
    CODE_SERVER_HOST     = "code-server.${local.namespace}"
    ECS_CLUSTER          = local.cluster_name
    RUN_TASK_DEFINITION  = "${var.name}-run"
    RUN_CONTAINER_NAME   = "run"
    RUN_SUBNETS          = join(",", var.private_subnet_ids)
    RUN_SECURITY_GROUPS  = aws_security_group.this["run"].id
    BATCH_JOB_QUEUE      = var.batch_job_queue
    BATCH_JOB_DEFINITION = var.batch_job_definition
    MAX_CONCURRENT_RUNS  = tostring(var.run.max_concurrent)
  }
  workspace = "/opt/dagster/aws/workspace.yaml"

  run_environment = merge(local.storage, local.governance, local.instance)
  run_secrets = {
    DAGSTER_DB_PASSWORD = local.secrets.dagster_password
    RUN_SIGNING_KEY     = local.secrets.signing_key
  }

  fetch = "import urllib.request as u; u.urlopen('http://localhost:%d%s', timeout=4)"

  # `command` null is the image's own. `writable` are empty folders that end with the task; the rest of the
  # file system is read-only. `spool` is rw, ro or null.
  containers = {
    code-server = {
      image       = "platform"
      command     = ["dagster", "api", "grpc", "--host", "0.0.0.0", "--port", tostring(local.ports.code-server), "-m", "interlock.definitions"]
      environment = local.run_environment
      secrets     = local.run_secrets
      health      = ["CMD", "python", "docker/platform/health_code_server.py"]
      start       = 90
      writable    = ["tmp", "scratch"]
      spool       = null
      duty        = "code-server"
      group       = "code-server"
    }
    dagster-webserver = {
      image = "dagster"
      command = [
        "python", "-m", "interlock.webserver", "--host=0.0.0.0", "--port=${local.ports.dagster-webserver}", "--workspace=${local.workspace}",
        "--https", "--allowed-host=${var.hosts.dagster}",
        "--allowed-host=dagster-webserver.${local.namespace}:${local.ports.dagster-webserver}",
      ]
      environment = merge(local.storage, local.governance, local.instance, local.sign_identities, local.sign_decisions, local.web)
      secrets     = { DAGSTER_DB_PASSWORD = local.secrets.dagster_password }
      health      = ["CMD", "python", "-c", format(local.fetch, local.ports.dagster-webserver, "/healthz")]
      start       = 90
      writable    = ["tmp"]
      spool       = null
      duty        = "webserver"
      group       = "dagster-webserver"
    }
    console = {
      image = "dagster"
      command = [
        "python", "-m", "interlock.console", "--host=0.0.0.0", "--port=${local.ports.console}", "--https", "--allowed-host=${var.hosts.console}",
      ]
      environment = merge(local.storage, local.governance, local.sign_identities, local.sign_decisions, local.web)
      secrets     = {}
      health      = ["CMD", "python", "-c", format(local.fetch, local.ports.console, "/healthz")]
      start       = 90
      writable    = ["tmp"]
      spool       = null
      duty        = "console"
      group       = "console"
    }
    dagster-daemon = {
      image   = "dagster"
      command = ["dagster-daemon", "run", "--workspace", local.workspace]
      environment = merge(local.storage, local.governance, local.instance, local.sign_identities, {
        # For the health check, which asks the database itself.
        PGHOST     = var.database.endpoint
        PGPORT     = tostring(var.database.port)
        PGDATABASE = "dagster"
        PGUSER     = "dagster"
      })
      secrets = {
        DAGSTER_DB_PASSWORD = local.secrets.dagster_password
        PGPASSWORD          = local.secrets.dagster_password
      }
      health   = ["CMD", "python", "/opt/dagster/health_daemon.py"]
      start    = 90
      writable = ["tmp"]
      spool    = null
      duty     = "daemon"
      group    = "dagster-daemon"
    }
    mlflow = {
      image   = "mlflow"
      command = null
      environment = {
        MLFLOW_BACKEND_STORE_URI           = "postgresql+psycopg2://mlflow@${var.database.endpoint}:${var.database.port}/mlflow"
        MLFLOW_ARTIFACTS_DESTINATION       = "s3://${var.artifact_bucket.id}/mlflow"
        MLFLOW_SERVE_ARTIFACTS             = "true" # clients need no S3 rights
        MLFLOW_EXPOSE_PROMETHEUS           = "/tmp/metrics"
        MLFLOW_SERVER_ALLOWED_HOSTS        = "mlflow.${local.namespace}:${local.ports.mlflow},localhost:${local.ports.mlflow},${var.hosts.mlflow}"
        MLFLOW_SERVER_CORS_ALLOWED_ORIGINS = "https://${var.hosts.mlflow}"
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION = "false"
        MLFLOW_DISABLE_TELEMETRY           = "true"
        AWS_DEFAULT_REGION                 = local.region
        AWS_REGION                         = local.region
        PGSSLMODE                          = "require"
        GIT_PYTHON_REFRESH                 = "quiet"
      }
      secrets  = { PGPASSWORD = local.secrets.mlflow_password }
      health   = ["CMD", "python", "-c", format(local.fetch, local.ports.mlflow, "/health")]
      start    = 90
      writable = ["tmp"]
      spool    = null
      duty     = "mlflow"
      group    = "mlflow"
    }
    dagster-exporter = {
      image = "platform"
      command = [
        "python", "-m", "monitoring.dagster_exporter", "--host=0.0.0.0",
        "--dagster-url=http://dagster-webserver.${local.namespace}:${local.ports.dagster-webserver}",
        "--service=code-server=code-server.${local.namespace}:${local.ports.code-server}",
        "--service=postgres=${var.database.endpoint}:${var.database.port}",
      ]
      environment = {}
      secrets     = { IDENTITY_TOKEN = local.secrets.exporter_token }
      health      = ["CMD", "python", "-c", format(local.fetch, local.ports.dagster-exporter, "/metrics")]
      start       = 60
      writable    = ["tmp", "scratch"]
      spool       = null
      duty        = "exporter"
      group       = "dagster-exporter"
    }
    drift-monitor = {
      image       = "platform"
      command     = ["python", "-m", "monitoring.drift_monitor", "--host", "0.0.0.0"]
      environment = merge(local.storage, local.governance)
      secrets     = {}
      health      = ["CMD", "python", "-c", format(local.fetch, local.ports.drift-monitor, "/metrics")]
      start       = 60
      writable    = ["tmp", "scratch"]
      spool       = "ro"
      duty        = "monitoring"
      group       = "drift-monitor"
    }
    # One task per run, started by Dagster's launcher, which replaces the command and nothing else.
    run = {
      image       = "platform"
      command     = ["dagster", "api", "execute_run", "--help"]
      environment = local.run_environment
      secrets     = local.run_secrets
      health      = null
      start       = 0
      writable    = ["tmp", "scratch"]
      spool       = "rw"
      duty        = "run"
      group       = "run"
    }
    # Commands that read and judge: `interlock deploy-check`, `interlock audit verify`. What they decide is
    # audited in the job's own name, in the role that may serve models.
    jobs = {
      image   = "platform"
      command = ["interlock", "doctor"]
      environment = merge(local.storage, local.governance, {
        IDENTITY_SOURCE = "env"
        RUN_OWNER       = "${var.name}-jobs"
        RUN_ROLE        = "ml_engineer"
      })
      secrets  = { IDENTITY_TOKEN = local.secrets.jobs_token } # with which the smoke test asks the web server
      health   = null
      start    = 0
      writable = ["tmp", "scratch"]
      spool    = null
      duty     = "jobs"
      group    = "jobs"
    }
    # Makes the two databases and their users; the only task that is handed the administrator's secret.
    databases = {
      image   = "platform"
      command = ["python", "docker/platform/create_databases.py"]
      environment = {
        DB_HOST   = var.database.endpoint
        DB_PORT   = tostring(var.database.port)
        PGSSLMODE = "require"
      }
      secrets = {
        MASTER_SECRET       = var.database.master_secret_arn
        DAGSTER_DB_PASSWORD = local.secrets.dagster_password
        MLFLOW_DB_PASSWORD  = local.secrets.mlflow_password
      }
      health   = null
      start    = 0
      writable = ["tmp", "scratch"]
      spool    = null
      duty     = "databases"
      group    = "jobs"
    }
  }

  services = toset(keys(var.sizes))
  one_shot = {
    run       = { cpu = var.run.cpu, memory = var.run.memory }
    jobs      = { cpu = 1024, memory = 4096 }
    databases = { cpu = 256, memory = 512 }
  }
  task_definitions = setunion(local.services, keys(local.one_shot))
}
