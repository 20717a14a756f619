{{- /*
What the pods of all workloads have in common, written once.

`goldwatch.workload` returns the values of one workload: those of its `section`, over the keys that all pods share.
*/ -}}
{{- define "goldwatch.workload" -}}
{{- $values := .root.Values }}
{{- $own := deepCopy (index $values .section) }}
{{- range $key := list "resources" "podLabels" "podAnnotations" "nodeSelector" "podDisruptionBudget" }}
{{- $_ := set $own $key (mergeOverwrite (deepCopy (index $values $key)) (default dict (index $own $key))) }}
{{- end }}
{{- range $key := list "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "schedulerName" "hostAliases"
      "dnsPolicy" "dnsConfig" "terminationGracePeriodSeconds" "revisionHistoryLimit" }}
{{- if not (index $own $key) }}
{{- $_ := set $own $key (index $values $key) }}
{{- end }}
{{- end }}
{{- toYaml $own }}
{{- end }}

{{- /*
User, group and the like, without those that are left to the platform: null, or on OpenShift, whose `restricted-v2` admits
only the ids of the namespace.
*/ -}}
{{- define "goldwatch.podSecurityContext" -}}
{{- $context := dict }}
{{- range $key, $value := .Values.podSecurityContext }}
{{- if not (kindIs "invalid" $value) }}
{{- $_ := set $context $key $value }}
{{- end }}
{{- end }}
{{- $adapt := .Values.global.compatibility.openshift.adaptSecurityContext }}
{{- if or (eq $adapt "force") (and (eq $adapt "auto") (.Capabilities.APIVersions.Has "security.openshift.io/v1")) }}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{- /* Of each container, in our pods and in those of other charts. */ -}}
{{- define "goldwatch.securityContext" -}}
{{- $pod := include "goldwatch.podSecurityContext" . | fromYaml }}
{{- $fixed := dict "allowPrivilegeEscalation" false "privileged" false "readOnlyRootFilesystem" true
      "capabilities" (dict "drop" (list "ALL")) }}
{{- toYaml (merge $fixed (pick $pod "runAsNonRoot" "runAsUser" "runAsGroup" "seccompProfile")) }}
{{- end }}

{{- /* Resources with every quantity as text: a server-side apply refuses numbers. */ -}}
{{- define "goldwatch.resources" -}}
{{- $resources := deepCopy . }}
{{- range $key := list "limits" "requests" }}
{{- range $name, $quantity := default dict (index $resources $key) }}
{{- $_ := set (index $resources $key) $name (kindIs "string" $quantity | ternary $quantity (toJson $quantity)) }}
{{- end }}
{{- end }}
{{- toYaml $resources }}
{{- end }}

{{- define "goldwatch.imagePullSecrets" -}}
{{- $names := list }}
{{- range concat .Values.imagePullSecrets .Values.global.imagePullSecrets }}
{{- $names = append $names (kindIs "string" . | ternary . (get (kindIs "map" . | ternary . dict) "name")) }}
{{- end }}
{{- range $names | uniq }}
- name: {{ . | quote }}
{{- end }}
{{- end }}

{{- /*
The template of a pod, below `template:`. A dict: `root`; `component`, the workload; `workload`, its values by
`goldwatch.workload`; `account`, its service account; `token`, whether it asks the API server; `container` and `volumes`;
`labels` and `annotations` of the chart's own.
*/ -}}
{{- define "goldwatch.pod" -}}
{{- $workload := .workload }}
{{- $container := deepCopy .container }}
{{- range $workload.env }}
{{- $entry := include "goldwatch.environment" (dict "entry" .) | fromYaml }}
{{- $_ := set $container "env" (append (default list $container.env) $entry) }}
{{- end }}
{{- range $key, $more := dict "envFrom" $workload.envFrom "volumeMounts" $workload.extraVolumeMounts "args" $workload.extraArgs }}
{{- with concat (default list (index $container $key)) (default list $more) }}
{{- $_ := set $container $key . }}
{{- end }}
{{- end }}
{{- range $key := list "startupProbe" "readinessProbe" "livenessProbe" }}
{{- with index $container $key }}
{{- $_ := set $container $key (mergeOverwrite (deepCopy .) (default dict (index $workload $key))) }}
{{- end }}
{{- end }}
{{- with $workload.lifecycle }}
{{- $_ := set $container "lifecycle" . }}
{{- end }}
{{- $_ := set $container "resources" (include "goldwatch.resources" $workload.resources | fromYaml) }}
{{- $_ := set $container "securityContext" (include "goldwatch.securityContext" .root | fromYaml) }}
{{- $spec := dict
      "serviceAccountName" .account
      "automountServiceAccountToken" .token
      "enableServiceLinks" false
      "securityContext" (include "goldwatch.podSecurityContext" .root | fromYaml)
      "containers" (prepend (default list $workload.extraContainers) $container)
      "volumes" (concat .volumes (default list $workload.extraVolumes)) }}
{{- range $key := list "terminationGracePeriodSeconds" "runtimeClassName" "priorityClassName" "schedulerName" "nodeSelector"
      "tolerations" "affinity" "topologySpreadConstraints" "hostAliases" "dnsPolicy" "dnsConfig" "hostNetwork" "initContainers" }}
{{- with index $workload $key }}
{{- $_ := set $spec $key . }}
{{- end }}
{{- end }}
{{- with include "goldwatch.imagePullSecrets" .root | fromYamlArray }}
{{- $_ := set $spec "imagePullSecrets" . }}
{{- end }}
{{- $selector := include "goldwatch.selector" . | fromYaml }}
{{- $labels := include "goldwatch.labels" (dict "root" .root "component" .component "labels" (merge $selector (default dict .labels) $workload.podLabels)) | fromYaml }}
{{- $annotations := merge (default dict .annotations) $workload.podAnnotations (deepCopy .root.Values.commonAnnotations) }}
{{- $metadata := dict "labels" $labels }}
{{- with $annotations }}
{{- $_ := set $metadata "annotations" . }}
{{- end }}
{{- toYaml (dict "metadata" $metadata "spec" $spec) }}
{{- end }}

{{- /* The disruption budget and the service account of a workload. */ -}}
{{- define "goldwatch.podDisruptionBudget" -}}
{{- $budget := .workload.podDisruptionBudget }}
{{- if $budget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{- include "goldwatch.metadata" . | nindent 2 }}
spec:
  {{- if ne (toString $budget.minAvailable) "" }}
  minAvailable: {{ $budget.minAvailable }}
  {{- else if ne (toString $budget.maxUnavailable) "" }}
  maxUnavailable: {{ $budget.maxUnavailable }}
  {{- else }}
  maxUnavailable: 1
  {{- end }}
  {{- with $budget.unhealthyPodEvictionPolicy }}
  unhealthyPodEvictionPolicy: {{ . }}
  {{- end }}
  selector:
    matchLabels: {{- include "goldwatch.selector" . | nindent 6 }}
{{- end }}
{{- end }}

{{- define "goldwatch.identity" -}}
{{- if .account.create }}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{- include "goldwatch.metadata" (merge (dict "name" (include "goldwatch.serviceAccount" .) "annotations" .account.annotations "labels" .account.labels) .) | nindent 2 }}
automountServiceAccountToken: false
{{- end }}
{{- end }}
