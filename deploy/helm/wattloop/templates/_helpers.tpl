{{- define "wattloop.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- /* 52 characters: the StatefulSet adds a hash to it in a label, and a label holds 63. */ -}}
{{- define "wattloop.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "wattloop.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "wattloop.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "wattloop.selectorLabels" -}}
app.kubernetes.io/name: {{ include "wattloop.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: worker
{{- end -}}

{{- /* Everything but the component, so that a job's pod is not taken for a worker. */ -}}
{{- define "wattloop.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "wattloop.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "wattloop.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "wattloop.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "wattloop.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* A whole number must not become 1e+06 on its way into an environment variable. */ -}}
{{- define "wattloop.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}
{{- printf "%.0f" . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{- /* The Secret of the DSN. The one made from clickhouse.dsn exists twice: hooks run before the release's own objects. */ -}}
{{- define "wattloop.env" -}}
{{- $root := .root -}}
- name: WATTLOOP_KAFKA_URL
  value: {{ $root.Values.kafka.url | quote }}
- name: WATTLOOP_CLICKHOUSE_URL
  valueFrom:
    secretKeyRef:
    {{- with $root.Values.clickhouse.existingSecret }}
    {{- if .name }}
      name: {{ .name }}
      key: {{ .key }}
    {{- else }}
      name: {{ include "wattloop.fullname" $root }}-clickhouse{{ if $.hook }}-hook{{ end }}
      key: dsn
    {{- end }}
    {{- end }}
- name: WATTLOOP_DATA_DIR
  value: /var/lib/wattloop
{{- range $name, $value := $root.Values.settings }}
- name: {{ $name }}
  value: {{ include "wattloop.text" $value | quote }}
{{- end }}
{{- end -}}

{{- /* What every pod of the chart has, worker or job. */ -}}
{{- define "wattloop.podBase" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.worker.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.worker.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "wattloop.containerBase" -}}
image: {{ include "wattloop.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.containerSecurityContext | nindent 2 }}
{{- end -}}

{{- define "wattloop.mounts" -}}
- name: data
  mountPath: /var/lib/wattloop
- name: tmp
  mountPath: /tmp
{{- with .Values.worker.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "wattloop.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 1Gi
{{- with .Values.worker.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* One run of a wattloop command before the workers. Takes root, suffix, weight, command, job, and optionally mounts and volumes. */ -}}
{{- define "wattloop.job" -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "wattloop.fullname" .root }}-{{ .suffix }}
  labels:
    {{- include "wattloop.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .suffix }}
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-weight: {{ .weight | quote }}
    # A failed job stays, for its log.
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: {{ .job.backoffLimit }}
  activeDeadlineSeconds: {{ .job.activeDeadlineSeconds }}
  template:
    metadata:
      labels:
        {{- include "wattloop.labels" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .suffix }}
    spec:
      restartPolicy: Never
      {{- if not .root.Values.serviceAccount.create }}
      # One made by this chart does not exist yet when a hook runs.
      serviceAccountName: {{ include "wattloop.serviceAccountName" .root }}
      {{- end }}
      {{- include "wattloop.podBase" .root | nindent 6 }}
      containers:
        - name: {{ .suffix }}
          {{- include "wattloop.containerBase" .root | nindent 10 }}
          command: {{ toJson .command }}
          env:
            {{- include "wattloop.env" (dict "root" .root "hook" true) | nindent 12 }}
          resources:
            {{- toYaml .job.resources | nindent 12 }}
          volumeMounts:
            {{- include "wattloop.mounts" .root | nindent 12 }}
            {{- with .mounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - name: data
          emptyDir:
            sizeLimit: 1Gi
        {{- include "wattloop.volumes" .root | nindent 8 }}
        {{- with .volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end -}}
