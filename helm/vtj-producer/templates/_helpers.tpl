{{- define "vtj.labels" -}}
{{ include "vtj.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "vtj.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "vtj.metadata" -}}
name: {{ .Release.Name }}
namespace: {{ .Release.Namespace }}
labels: {{- include "vtj.labels" . | nindent 2 }}
{{- end }}

{{/* Of what is there for the Jobs that run before the release is: gone when they have succeeded. */}}
{{- define "vtj.hooks.metadata" -}}
name: {{ .Release.Name }}-hooks
namespace: {{ .Release.Namespace }}
labels: {{- include "vtj.labels" . | nindent 2 }}
annotations:
  helm.sh/hook: pre-install,pre-upgrade
  helm.sh/hook-weight: "-1"
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* JSON: feed → its settings, those of its table laid over the top level. Without [feeds] one, named "". */}}
{{- define "vtj.feeds" -}}
{{- $feeds := dict -}}
{{- range $name, $own := .Values.settings.feeds | default (dict "" dict) -}}
{{- $_ := set $feeds $name (mergeOverwrite (deepCopy (omit $.Values.settings "feeds")) $own) -}}
{{- end -}}
{{- toJson $feeds -}}
{{- end }}

{{/* JSON: the files under /run/secrets that the settings name, as NAME/KEY. */}}
{{- define "vtj.files" -}}
{{- $paths := regexFindAll "\"/run/secrets/[^/\"]+/[^/\"]+\"" (toJson (list .Values.settings .Values.hooks.loadArguments)) -1 -}}
{{- $files := list -}}
{{- range $paths | uniq | sortAlpha -}}
{{- $files = append $files (trimAll "\"" . | trimPrefix "/run/secrets/") -}}
{{- end -}}
{{- toJson $files -}}
{{- end }}

{{- define "vtj.settings" -}}
vtj.toml: |
  {{- toToml .Values.settings | nindent 2 }}
{{- end }}

{{/* A pod's template. Of: "root", "settings" (name of the ConfigMap), "command" (words), "service" (whether it stays). */}}
{{- define "vtj.pod" -}}
{{- $root := .root -}}
{{- $secrets := list -}}
{{- range include "vtj.files" $root | fromJsonArray -}}
{{- $secrets = append $secrets (dir .) -}}
{{- end -}}
metadata:
  labels:
    {{- include "vtj.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
  annotations:
    checksum/settings: {{ include "vtj.settings" $root | sha256sum }}
spec:
  {{- if not .service }}
  restartPolicy: Never
  {{- end }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    seccompProfile: {type: RuntimeDefault}
  {{- if .service }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "vtj.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ .component }}
  {{- end }}
  containers:
    - name: vtj-producer
      image: {{ printf "%s:%s" $root.Values.image.repository ($root.Values.image.tag | default $root.Chart.AppVersion) }}
      args: {{ concat (list "--config" "/etc/vtj/vtj.toml") .command | toJson }}
      env: # the image's own, which would go before the settings
        - {name: VTJ_SERVER__HOST, value: ""}
        - {name: VTJ_SERVER__PORT, value: ""}
      {{- with $root.Values.environment }}
      envFrom:
        - secretRef: {name: {{ . }}}
      {{- end }}
      {{- if .service }}
      ports:
        - {name: http, containerPort: {{ $root.Values.settings.server.port | int }}}
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        timeoutSeconds: 5
      {{- end }}
      resources: {{- toYaml $root.Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        capabilities: {drop: [ALL]}
        readOnlyRootFilesystem: true
      volumeMounts:
        - {name: settings, mountPath: /etc/vtj, readOnly: true}
        {{- range uniq $secrets }}
        - {name: {{ . }}, mountPath: {{ printf "/run/secrets/%s" . }}, readOnly: true}
        {{- end }}
  volumes:
    - name: settings
      configMap: {name: {{ .settings }}}
    {{- range uniq $secrets }}
    - name: {{ . }}
      secret: {secretName: {{ . }}}
    {{- end }}
{{- end }}

{{/* What a Job is made of. What trying again cannot mend (docs: exit codes) ends it at once. */}}
{{- define "vtj.job" -}}
backoffLimit: 4
podFailurePolicy:
  rules:
    - action: FailJob
      onExitCodes: {containerName: vtj-producer, operator: In, values: [2, 3, 5, 6, 10]}
template: {{- include "vtj.pod" . | nindent 2 }}
{{- end }}
