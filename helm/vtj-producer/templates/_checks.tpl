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
{{- /* Without a cluster (helm template) nothing can be looked up. Every namespace has this account. */ -}}
{{- if lookup "v1" "ServiceAccount" .Release.Namespace "default" -}}
{{- range include "vtj.files" . | fromJsonArray -}}
{{- $secret := lookup "v1" "Secret" $.Release.Namespace (dir .) -}}
{{- if and (not (hasKey ($secret.data | default dict) (base .))) (not (and $values.strimzi.user (eq (dir .) $.Release.Name))) -}}
{{- $how := printf "kubectl -n %s create secret generic %s --from-file=%s=FILE" $.Release.Namespace (dir .) (base .) -}}
{{- $wrong = append $wrong (printf "The settings name /run/secrets/%s, but %s. Make it: %s" . (ternary (printf "the Secret %s has no entry %s" (dir .) (base .)) (printf "there is no Secret %s" (dir .)) (not (empty $secret))) $how) -}}
{{- end -}}
{{- end -}}
{{- range compact (append $values.image.pullSecrets $values.environment) -}}
{{- if not (lookup "v1" "Secret" $.Release.Namespace .) -}}
{{- $wrong = append $wrong (printf "There is no Secret %s in the namespace %s, which the values name: make it first." . $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with $wrong -}}
{{- fail (printf "\n\n%s\n" (join "\n" .)) -}}
{{- end -}}
{{- end }}
