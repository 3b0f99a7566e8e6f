{{- /* Everything that does not fit together, in one message. Types, ranges and unknown names are values.schema.json's. */ -}}
{{- define "wattloop.validate" -}}
{{- $wrong := list -}}

{{- if not .Values.image.repository -}}
{{- $wrong = append $wrong "image.repository is missing: name an image that has the wattloop command, for example registry.example.org/energy/wattloop." -}}
{{- end -}}

{{- with .Values.kafka.url -}}
{{- if contains "@" . -}}
{{- /* Not repeated in the message: it may hold a password. */ -}}
{{- $wrong = append $wrong "kafka.url holds a user or a password: it is an address, readable in the pod, and Wattloop takes none there." -}}
{{- else if not (regexMatch "^kafka://[^/,\\s]+:[0-9]+(,[^/,\\s]+:[0-9]+)*$" .) -}}
{{- $wrong = append $wrong (printf "kafka.url %q is not an address of Kafka: it looks like kafka://HOST:PORT[,HOST:PORT...]." .) -}}
{{- end -}}
{{- else -}}
{{- $wrong = append $wrong "kafka.url is missing: say where Apache Kafka is, for example kafka://kafka.streams.svc:9092." -}}
{{- end -}}

{{- with .Values.clickhouse -}}
{{- if and (not .dsn) (not .existingSecret.name) -}}
{{- $wrong = append $wrong "clickhouse.existingSecret.name is missing: name the Secret that holds the DSN, or give clickhouse.dsn and the chart makes one." -}}
{{- else if and .dsn .existingSecret.name -}}
{{- $wrong = append $wrong "clickhouse.dsn and clickhouse.existingSecret.name are both set: keep one." -}}
{{- else if hasPrefix "chdb:" .dsn -}}
{{- $wrong = append $wrong "clickhouse.dsn names the embedded engine, which lives inside one process: workers in a cluster need a server, https://USER:PASSWORD@HOST:8443/DATABASE." -}}
{{- else if and .dsn (not (regexMatch "^https?://[^\\s]+$" .dsn)) -}}
{{- /* Not repeated in the message: it may hold a password. */ -}}
{{- $wrong = append $wrong "clickhouse.dsn is not an address of ClickHouse: it looks like https://USER:PASSWORD@HOST:8443/DATABASE." -}}
{{- end -}}
{{- end -}}

{{- $ours := dict
  "WATTLOOP_KAFKA_URL" "kafka.url"
  "WATTLOOP_KAFKA_URL_FILE" "kafka.url"
  "WATTLOOP_CLICKHOUSE_URL" "clickhouse.existingSecret"
  "WATTLOOP_CLICKHOUSE_URL_FILE" "clickhouse.existingSecret"
  "WATTLOOP_DATA_DIR" "persistence"
  "WATTLOOP_ADMIN_HOST" "admin.host"
  "WATTLOOP_ADMIN_PORT" "admin.port"
  "WATTLOOP_INSTANCE_ID" "the name of the pod" -}}
{{- range $name, $value := .Values.settings -}}
{{- if not (regexMatch "^WATTLOOP_[A-Z0-9_]+$" $name) -}}
{{- $wrong = append $wrong (printf "settings.%s is not a setting of Wattloop: they are environment variables named WATTLOOP_..." $name) -}}
{{- else if hasKey $ours $name -}}
{{- $wrong = append $wrong (printf "settings.%s is set by the chart, from %s." $name (get $ours $name)) -}}
{{- end -}}
{{- end -}}

{{- $drain := get .Values.settings "WATTLOOP_DRAIN_TIMEOUT_S" | default 20 | float64 -}}
{{- if le (float64 .Values.worker.terminationGracePeriodSeconds) (addf $drain 20) -}}
{{- $wrong = append $wrong (printf "worker.terminationGracePeriodSeconds %v is too short: a worker may take WATTLOOP_DRAIN_TIMEOUT_S (%v) and 20 s more before it ends itself; give it more than %v." .Values.worker.terminationGracePeriodSeconds $drain (addf $drain 20)) -}}
{{- end -}}

{{- with .Values.registry -}}
{{- if and .apply (not .files) (not .existingConfigMap) -}}
{{- $wrong = append $wrong "registry.apply has nothing to apply: give registry.files or registry.existingConfigMap." -}}
{{- else if and .files .existingConfigMap -}}
{{- $wrong = append $wrong "registry.files and registry.existingConfigMap are both set: keep one." -}}
{{- end -}}
{{- if and (not .apply) (or .files .existingConfigMap) -}}
{{- $wrong = append $wrong "registry.files or registry.existingConfigMap is set, but registry.apply is false, so nothing would read it." -}}
{{- end -}}
{{- range $name, $text := .files -}}
{{- if not (regexMatch "^[A-Za-z0-9][A-Za-z0-9._-]*\\.ya?ml$" $name) -}}
{{- $wrong = append $wrong (printf "registry.files: %q is not a file name that a ConfigMap can hold: letters, digits, dots and dashes, ending in .yaml." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- with .Values.podDisruptionBudget -}}
{{- if and .enabled (has (toString .maxUnavailable) (list "0" "0%")) -}}
{{- $wrong = append $wrong "podDisruptionBudget.maxUnavailable of 0 would keep every node with a worker on it from being drained: allow at least 1." -}}
{{- end -}}
{{- end -}}

{{- if $wrong -}}
{{- fail (printf "these values cannot be installed:\n  - %s" (join "\n  - " $wrong)) -}}
{{- end -}}
{{- end -}}
