{{- /* goldwatch.yaml of the stand-alone agent: the user's, with the lease where there are replicas to choose from. */ -}}
{{- define "goldwatch.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if gt (int .Values.standalone.replicas) 1 }}
{{- $lease := dict "name" (include "goldwatch.fullname" .) "duration" .Values.lease.duration
      "renew_deadline" .Values.lease.renewDeadline "retry_period" .Values.lease.retryPeriod }}
{{- $_ := set $config "cluster" (merge (deepCopy (default dict $config.cluster)) (dict "lease" $lease)) }}
{{- end }}
{{- $listen := dict "listen" (printf ":%d" (int .Values.port)) }}
{{- $config = merge $config (dict "exporters" (dict "prometheus" $listen)) }}
{{- toYaml $config }}
{{- end }}
