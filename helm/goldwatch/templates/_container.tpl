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
image: {{ include "goldwatch.image" .root | quote }}
imagePullPolicy: {{ $values.image.pullPolicy }}
args: [run, {{ if .sidecar }}--patient, "--listen=:{{ $values.port }}", {{ end }}{{ if or .sidecar $values.existingConfigMap $secrets }}--follow, {{ end }}{{ with $values.web.tokenSecret }}"--credentials-file=/secrets/{{ . }}/token", {{ end }}{{ with $values.web.tlsSecret }}"--cert-file=/secrets/{{ . }}/tls.crt", "--key-file=/secrets/{{ . }}/tls.key", {{ end }}{{ with $values.web.allowedHosts }}"--allowed-hosts={{ join "," . }}", {{ end }}/etc/goldwatch/goldwatch.yaml]
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
  {{- $entry := deepCopy . }}
  {{- if and $.sidecar $entry.valueFrom }}
  {{- range $entry.valueFrom }}{{- $_ := set . "optional" true }}{{- end }}
  {{- end }}
  - {{ toYaml $entry | nindent 4 | trim }}
  {{- end }}
{{- /* Beside a model server there is no probe: whatever ails the agent must not keep the server from starting, or take it
out of service. That the agent is silent is for an alert to say. */ -}}
{{- if not .sidecar }}
startupProbe:
  httpGet: {path: /readyz, port: goldwatch, scheme: {{ $scheme }}}
  periodSeconds: 2
  failureThreshold: 150
readinessProbe:
  httpGet: {path: /readyz, port: goldwatch, scheme: {{ $scheme }}}
  periodSeconds: 10
livenessProbe:
  httpGet: {path: /healthz, port: goldwatch, scheme: {{ $scheme }}}
  periodSeconds: 20
  failureThreshold: 3
{{- end }}
resources:
  {{- toYaml $values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
  privileged: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: {{ int64 $values.podSecurityContext.runAsUser }}
  runAsGroup: {{ int64 $values.podSecurityContext.runAsGroup }}
  seccompProfile: {type: RuntimeDefault}
volumeMounts:
  - {name: goldwatch-config, mountPath: /etc/goldwatch, readOnly: true}
  - {name: goldwatch-state, mountPath: /var/lib/goldwatch}
  - {name: goldwatch-tmp, mountPath: /tmp}
  {{- range $values.golden }}
  - {name: {{ printf "golden-%s" .name }}, mountPath: {{ printf "/golden/%s" .name }}, readOnly: true}
  {{- end }}
  {{- range $secrets }}
  - {name: {{ printf "secret-%s" . }}, mountPath: {{ printf "/secrets/%s" . }}, readOnly: true}
  {{- end }}
  {{- if $values.access.rapl.enabled }}
  - {name: goldwatch-rapl, mountPath: /sys/class/powercap, readOnly: true}
  {{- end }}
  {{- if and .sidecar $values.sidecar.logs (not $values.webhook.enabled) }}
  - {name: {{ $values.sidecar.logs | quote }}, mountPath: /var/log/model, readOnly: true}
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
  configMap: {name: {{ .config | quote }}, optional: {{ not .standalone }}}
- name: goldwatch-state
  {{- if .claim }}
  persistentVolumeClaim: {claimName: {{ .claim | quote }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ $standalone | ternary $values.standalone.persistence.size "1Gi" | quote }}}
  {{- end }}
- name: goldwatch-tmp
  emptyDir: {sizeLimit: 1Gi}
{{- range $values.golden }}
- name: {{ printf "golden-%s" .name }}
  {{- if .configMap }}
  configMap: {name: {{ .configMap | quote }}, optional: {{ not $standalone }}}
  {{- else if .persistentVolumeClaim }}
  persistentVolumeClaim: {claimName: {{ .persistentVolumeClaim | quote }}, readOnly: true}
  {{- else }}
  image: {reference: {{ .image | quote }}, pullPolicy: IfNotPresent}
  {{- end }}
{{- end }}
{{- /* 0440 in our own pod, whose fsGroup is the agent's. The pod of a model server has another or none, so there it is
0444, or the agent could not read it; nobody else mounts the volume. */ -}}
{{- $mode := $standalone | ternary 288 292 }}
{{- range include "goldwatch.secretNames" .root | fromJsonArray }}
- name: {{ printf "secret-%s" . }}
  secret: {secretName: {{ . | quote }}, defaultMode: {{ $mode }}, optional: {{ not $standalone }}}
{{- end }}
{{- if $values.access.rapl.enabled }}
- name: goldwatch-rapl
  hostPath: {path: {{ $values.access.rapl.hostPath | quote }}, type: Directory}
{{- end }}
{{- end }}
