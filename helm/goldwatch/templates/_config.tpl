{{- /* goldwatch.yaml of the stand-alone agent: the user's, with the lease where there are replicas to choose from. */ -}}
{{- define "goldwatch.config" -}}
{{- $config := deepCopy .Values.config }}
{{- if gt (int .Values.standalone.replicas) 1 }}
{{- $lease := dict "name" (include "goldwatch.fullname" .) "duration" .Values.lease.duration
      "renew_deadline" .Values.lease.renewDeadline "retry_period" .Values.lease.retryPeriod }}
{{- $_ := set $config "cluster" (merge (deepCopy (default dict $config.cluster)) (dict "lease" $lease)) }}
{{- end }}
{{- $written := (default dict (default dict $config.exporters).prometheus).listen | default "" }}
{{- $port := int .Values.port }}
{{- if and $written (not (has $written (list (printf ":%d" $port) (printf "0.0.0.0:%d" $port) (printf "[::]:%d" $port)))) }}
{{- fail (printf "config.exporters.prometheus.listen is %q, but the probes of the pod ask port %d on all its addresses; leave it out, and write `port`" $written $port) }}
{{- end }}
{{- if (default dict (default dict $config.exporters).prometheus).tls_server_config }}
{{- fail "config.exporters.prometheus.tls_server_config: the probes of the pod must know of TLS; leave it out, and write `web.tlsSecret`" }}
{{- end }}
{{- $listen := dict "listen" (printf ":%d" $port) }}
{{- with include "goldwatch.externalUrl" . }}
{{- $_ := set $listen "external_url" . }}
{{- end }}
{{- $config = merge $config (dict "exporters" (dict "prometheus" $listen)) }}
{{- toYaml $config }}
{{- end }}

{{- /* The address of the agent's pages from outside, by its Ingress or HTTPRoute; empty without one. */ -}}
{{- define "goldwatch.externalUrl" -}}
{{- if and .Values.ingress.enabled .Values.ingress.hosts }}
{{- printf "%s://%s" (empty .Values.ingress.tls | ternary "http" "https") (first .Values.ingress.hosts).host }}
{{- else if and .Values.httpRoute.enabled .Values.httpRoute.hostnames }}
{{- printf "https://%s" (first .Values.httpRoute.hostnames) }}
{{- end }}
{{- end }}
