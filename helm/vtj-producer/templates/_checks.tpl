{{/* Refuses, all in one, what would be half installed: what does not fit together, and Secrets that are not there. */}}
{{- define "vtj.checks" -}}
{{- $values := .Values -}}
{{- $wrong := list -}}
{{- range $feed, $settings := include "vtj.feeds" . | fromJson -}}
{{- $of := ternary "settings" (printf "settings.feeds.%s" $feed) (eq $feed "") -}}
{{- if not (dig "upstream" "url" "" $settings) -}}
{{- $wrong = append $wrong (printf "%s.upstream.url must be set: the root of VTJ-muutosrajapinta, or of your security server." $of) -}}
{{- end -}}
{{- if not (dig "kafka" "bootstrap_servers" "" $settings) -}}
{{- $wrong = append $wrong (printf "%s.kafka.bootstrap_servers must be set, for example kafka:9092." $of) -}}
{{- end -}}
{{- if and $values.hooks.schemas (not (dig "registry" "url" "" $settings)) -}}
{{- $wrong = append $wrong (printf "hooks.schemas is true, but %s.registry.url is not set: set it, or hooks.schemas=false." $of) -}}
{{- end -}}
{{- end -}}
{{- if and $values.schedule $values.monitoring.enabled -}}
{{- $wrong = append $wrong "monitoring.enabled is true, but with a schedule nothing runs that Prometheus could ask: keep one of the two." -}}
{{- end -}}
{{- if and $values.monitoring.enabled $values.networkPolicy.enabled (not $values.networkPolicy.from) -}}
{{- $wrong = append $wrong "monitoring.enabled is true, but networkPolicy.from lets nobody in: name your Prometheus there." -}}
{{- end -}}
{{- if and (or $values.strimzi.topics $values.strimzi.user) (not $values.strimzi.cluster) -}}
{{- $wrong = append $wrong "strimzi.cluster must name the Kafka resource whose topics and user these are." -}}
{{- end -}}
{{- if and $values.strimzi.topics $values.hooks.topics -}}
{{- $wrong = append $wrong "strimzi.topics and hooks.topics are both true: one of them makes the topics." -}}
{{- end -}}
{{- if and .Release.IsInstall $values.hooks.load $values.strimzi.topics -}}
{{- $wrong = append $wrong "hooks.load is true, but strimzi.topics makes the topics only afterwards: have them made first." -}}
{{- end -}}
{{- if and .Release.IsInstall $values.strimzi.user (or $values.hooks.topics $values.hooks.load) -}}
{{- $wrong = append $wrong "hooks.topics or hooks.load is true, but strimzi.user makes the account only afterwards: set them to false for this installation." -}}
{{- end -}}
{{- /* Without a cluster (helm template) nothing can be looked up. Every namespace has this ConfigMap. */ -}}
{{- if lookup "v1" "ConfigMap" .Release.Namespace "kube-root-ca.crt" -}}
{{- $wanted := dict -}}
{{- range include "vtj.files" . | fromJsonArray -}}
{{- $_ := set $wanted (dir .) (append (get $wanted (dir .) | default list) (base .)) -}}
{{- end -}}
{{- range compact (append $values.image.pullSecrets $values.environment) -}}
{{- $_ := set $wanted . (get $wanted . | default list) -}}
{{- end -}}
{{- if $values.strimzi.user -}}
{{- $_ := unset $wanted .Release.Name -}}
{{- end -}}
{{- range $name, $keys := $wanted -}}
{{- $secret := lookup "v1" "Secret" $.Release.Namespace $name -}}
{{- $lacking := $keys -}}
{{- range $keys -}}
{{- if hasKey ($secret.data | default dict) . -}}{{- $lacking = without $lacking . -}}{{- end -}}
{{- end -}}
{{- if not $secret -}}
{{- $wrong = append $wrong (printf "There is no Secret %s in the namespace %s. Make it: kubectl -n %s create secret generic %s%s" $name $.Release.Namespace $.Release.Namespace $name (include "vtj.checks.files" $keys)) -}}
{{- else if $lacking -}}
{{- $wrong = append $wrong (printf "The Secret %s has no entry %s, which the settings name." $name (join ", " $lacking)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $wrong -}}
{{- fail (printf "\n\n%s\n" (join "\n" .)) -}}
{{- end -}}
{{- end }}

{{- define "vtj.checks.files" -}}
{{- range . }} --from-file={{ . }}=FILE{{ end -}}
{{- end }}
