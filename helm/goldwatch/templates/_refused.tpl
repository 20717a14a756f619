{{- /* Values that other charts know and this one does not: each stops the installation and says what to write instead. */ -}}
{{- define "goldwatch.refuse" -}}
{{- range $path, $instead := .Files.Get "files/refused.yaml" | fromYaml }}
{{- $found := $.Values }}
{{- range splitList "." $path }}
{{- $found = kindIs "map" $found | ternary (get (kindIs "map" $found | ternary $found dict) .) nil }}
{{- end }}
{{- if or $found (and (kindIs "bool" $found) (eq $path "crds.install")) }}
{{- fail (printf "%s: %s" $path $instead) }}
{{- end }}
{{- end }}
{{- $values := .Values }}
{{- if and $values.podMonitor.enabled $values.serviceMonitor.enabled (or $values.standalone.enabled $values.operator.enabled $values.webhook.enabled) }}
{{- fail "podMonitor.enabled and serviceMonitor.enabled: both would scrape the same pods; enable one, podMonitor if there are sidecars" }}
{{- end }}
{{- if and $values.standalone.persistence.existingClaim (gt (int $values.standalone.replicas) 1) }}
{{- fail (printf "standalone.persistence.existingClaim: one claim cannot be shared by %d replicas; leave it out, and each replica gets its own" (int $values.standalone.replicas)) }}
{{- end }}
{{- end }}
