{{- define "goldwatch.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "goldwatch.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What selects the pods of the stand-alone agent, and no other pod of this release. */ -}}
{{- define "goldwatch.selector" -}}
app.kubernetes.io/name: {{ include "goldwatch.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: agent
{{- end }}

{{- /* Where a label of the user's has the key of one of ours, ours stays: selectors depend on them. */ -}}
{{- define "goldwatch.labels" -}}
{{- $own := dict
      "app.kubernetes.io/name" (include "goldwatch.name" .)
      "app.kubernetes.io/instance" .Release.Name
      "app.kubernetes.io/version" .Chart.AppVersion
      "app.kubernetes.io/managed-by" .Release.Service
      "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version) }}
{{- toYaml (merge $own (deepCopy .Values.commonLabels)) }}
{{- end }}

{{- define "goldwatch.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "goldwatch.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "goldwatch.configMap" -}}
{{- default (printf "%s-config" (include "goldwatch.fullname" .)) .Values.existingConfigMap }}
{{- end }}

{{- /* The Secrets that the agent has as files, as JSON. */ -}}
{{- define "goldwatch.secretNames" -}}
{{- $names := list .Values.web.tokenSecret .Values.web.tlsSecret }}
{{- range .Values.secrets }}
{{- $names = append $names .name }}
{{- end }}
{{- $names | compact | uniq | toJson }}
{{- end }}

{{- define "goldwatch.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}
