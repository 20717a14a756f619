{{- /*
The one definition of goldwatch's container, whichever way it comes into a pod.

`goldwatch.container` and `goldwatch.volumes` take a dict: `root` is the context of this chart, `config` the name of the
ConfigMap with goldwatch.yaml; beside a model server `sidecar` is true. Other charts include `goldwatch.sidecar` (below `initContainers:` if `sidecar.native`, else below
`containers:`) and `goldwatch.volumes` (below `volumes:`) with `root` set to `.Subcharts.goldwatch`.
*/ -}}
{{- define "goldwatch.container" -}}
{{- $values := .root.Values -}}
{{- $secrets := include "goldwatch.secretNames" .root | fromJsonArray }}
{{- $scheme := empty $values.web.tlsSecret | ternary "HTTP" "HTTPS" }}
name: goldwatch
image: {{ include "goldwatch.image" (dict "root" .root "image" $values.image) | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
args: [run, {{ if .sidecar }}--patient, "--listen=:{{ $values.port }}", {{ end }}{{ if or .sidecar $values.existingConfigMap $secrets }}--follow, {{ end }}{{ with $values.web.tokenSecret }}"--credentials-file=/secrets/{{ . }}/token", {{ end }}{{ with $values.web.tlsSecret }}"--cert-file=/secrets/{{ . }}/tls.crt", "--key-file=/secrets/{{ . }}/tls.key", {{ end }}{{ with $values.web.allowedHosts }}"--allowed-hosts={{ join "," . }}", {{ end }}{{ range $values.extraArgs }}{{ . | quote }}, {{ end }}/etc/goldwatch/goldwatch.yaml]
workingDir: /var/lib/goldwatch
ports:
  - {name: goldwatch, containerPort: {{ $values.port }}, protocol: TCP}
env:
  - {name: STATE_DIRECTORY, value: /var/lib/goldwatch}
  - {name: POD_CONTAINER, value: goldwatch}
  - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
  - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
  - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
  - {name: POD_UID, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}
  {{- /* Kubernetes puts these labels of the node on its pods from 1.35 on; before that they are empty. */}}
  - {name: NODE_ZONE, valueFrom: {fieldRef: {fieldPath: "metadata.labels['topology.kubernetes.io/zone']"}}}
  - {name: NODE_REGION, valueFrom: {fieldRef: {fieldPath: "metadata.labels['topology.kubernetes.io/region']"}}}
  {{- if $values.access.gpu.enabled }}
  - {name: NVIDIA_VISIBLE_DEVICES, value: {{ $values.access.gpu.visibleDevices | quote }}}
  - {name: NVIDIA_DRIVER_CAPABILITIES, value: utility}
  {{- end }}
  {{- range $values.env }}
  - {{ toYaml (include "goldwatch.environment" (dict "entry" . "optional" $.sidecar) | fromYaml) | nindent 4 | trim }}
  {{- end }}
{{- with $values.envFrom }}
envFrom:
  {{- range . }}
  - {{ toYaml (include "goldwatch.environment" (dict "entry" . "optional" $.sidecar) | fromYaml) | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- /* Beside a model server there is no probe: whatever ails the agent must not keep the server from starting, or take it
out of service. That the agent is silent is for an alert to say. */ -}}
{{- if not .sidecar }}
startupProbe:
  httpGet: {path: /readyz, port: goldwatch, scheme: {{ $scheme }}}
readinessProbe:
  httpGet: {path: /readyz, port: goldwatch, scheme: {{ $scheme }}}
livenessProbe:
  httpGet: {path: /healthz, port: goldwatch, scheme: {{ $scheme }}}
{{- end }}
resources:
  {{- include "goldwatch.resources" $values.resources | nindent 2 }}
securityContext: {{- include "goldwatch.securityContext" .root | nindent 2 }}
volumeMounts:
  - {name: goldwatch-config, mountPath: /etc/goldwatch, readOnly: true}
  - {name: goldwatch-state, mountPath: /var/lib/goldwatch}
  - {name: goldwatch-tmp, mountPath: /tmp}
  {{- range $values.golden }}
  - {name: {{ printf "golden-%s" .name }}, mountPath: {{ printf "/golden/%s" .name }}, readOnly: true{{ with .subPath }}, subPath: {{ . | quote }}{{ end }}}
  {{- end }}
  {{- range $secrets }}
  - {name: {{ include "goldwatch.volumeName" (dict "kind" "secret" "name" .) }}, mountPath: {{ printf "/secrets/%s" . }}, readOnly: true}
  {{- end }}
  {{- if $values.access.rapl.enabled }}
  - {name: goldwatch-rapl, mountPath: /sys/class/powercap, readOnly: true}
  {{- end }}
  {{- if and .sidecar $values.sidecar.logs (not $values.webhook.enabled) }}
  - {name: {{ $values.sidecar.logs | quote }}, mountPath: /var/log/model, readOnly: true}
  {{- end }}
  {{- with $values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "goldwatch.sidecar" -}}
- {{ include "goldwatch.container" (merge (dict "sidecar" true) .) | nindent 2 | trim }}
  {{- if .root.Values.sidecar.native }}
  restartPolicy: Always
  {{- end }}
{{- end }}

{{- define "goldwatch.volumes" -}}
{{- $values := .root.Values -}}
{{- $standalone := default false .standalone -}}
{{- /* In the pod of a model server a ConfigMap or Secret that is missing must not keep the server from starting. */ -}}
- name: goldwatch-config
  configMap:
    name: {{ .config | quote }}
    optional: {{ not $standalone }}
    {{- if and $standalone $values.existingConfigMap }}
    items: [{key: {{ $values.existingConfigMapKey | quote }}, path: goldwatch.yaml}]
    {{- end }}
{{- if not .claimTemplate }}
- name: goldwatch-state
  {{- if .claim }}
  persistentVolumeClaim: {claimName: {{ .claim | quote }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ $standalone | ternary $values.standalone.persistence.size "1Gi" | quote }}}
  {{- end }}
{{- end }}
- name: goldwatch-tmp
  emptyDir: {sizeLimit: 1Gi}
{{- range $values.golden }}
- name: {{ printf "golden-%s" .name }}
  {{- if .configMap }}
  configMap: {name: {{ .configMap | quote }}, optional: {{ not $standalone }}}
  {{- else if .persistentVolumeClaim }}
  persistentVolumeClaim: {claimName: {{ .persistentVolumeClaim | quote }}, readOnly: true}
  {{- else if .image }}
  image: {reference: {{ .image | quote }}, pullPolicy: {{ default "IfNotPresent" .pullPolicy }}}
  {{- else }}
  {{- toYaml .volume | nindent 2 }}
  {{- end }}
{{- end }}
{{- /* 0440 in our own pod, if its fsGroup is known to be the agent's group. In the pod of a model server, and where the
platform chooses, it is 0444, or the agent could not read it; no other container mounts the volume. */ -}}
{{- $grouped := hasKey (include "goldwatch.podSecurityContext" .root | fromYaml) "fsGroup" }}
{{- range include "goldwatch.secretNames" .root | fromJsonArray }}
- name: {{ include "goldwatch.volumeName" (dict "kind" "secret" "name" .) }}
  secret: {secretName: {{ . | quote }}, defaultMode: {{ and $standalone $grouped | ternary 288 292 }}, optional: {{ not $standalone }}}
{{- end }}
{{- if $values.access.rapl.enabled }}
- name: goldwatch-rapl
  hostPath: {path: {{ $values.access.rapl.hostPath | quote }}, type: Directory}
{{- end }}
{{- with $values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* An entry of `env` or `envFrom`: numbers and booleans become text, and with `optional` what it names may be missing. */ -}}
{{- define "goldwatch.environment" -}}
{{- $entry := deepCopy .entry }}
{{- if hasKey $entry "value" }}
{{- $_ := set $entry "value" (kindIs "string" $entry.value | ternary $entry.value (toJson $entry.value)) }}
{{- end }}
{{- if .optional }}
{{- range $kind, $of := default $entry $entry.valueFrom }}
{{- if has $kind (list "secretKeyRef" "configMapKeyRef" "secretRef" "configMapRef") }}
{{- $_ := set $of "optional" true }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $entry }}
{{- end }}
