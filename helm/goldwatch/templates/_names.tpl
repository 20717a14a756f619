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

{{- define "goldwatch.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- /* The labels that select the pods of one workload, `component`, and no other pod of this release. */ -}}
{{- define "goldwatch.selector" -}}
app.kubernetes.io/name: {{ include "goldwatch.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* Labels of an object: ours, then its own (`labels`), then commonLabels. Ours win: selectors depend on them. */ -}}
{{- define "goldwatch.labels" -}}
{{- $ours := dict
      "app.kubernetes.io/name" (include "goldwatch.name" .root)
      "app.kubernetes.io/instance" .root.Release.Name
      "app.kubernetes.io/version" .root.Chart.AppVersion
      "app.kubernetes.io/managed-by" .root.Release.Service
      "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version) }}
{{- if .component }}
{{- $_ := set $ours "app.kubernetes.io/component" .component }}
{{- end }}
{{- toYaml (merge $ours (deepCopy (default dict .labels)) (deepCopy .root.Values.commonLabels)) }}
{{- end }}

{{- /*
The metadata of every object of this chart. A dict: `root` is the context of the chart, `name` the object's name (that of the
release by default), `component` its workload, `namespace` one that is not the release's (`-`: none), `labels` and
`annotations` its own.
*/ -}}
{{- define "goldwatch.metadata" -}}
name: {{ default (include "goldwatch.fullname" .root) .name | quote }}
{{- if ne (default "" .namespace) "-" }}
namespace: {{ default (include "goldwatch.namespace" .root) .namespace | quote }}
{{- end }}
labels: {{- include "goldwatch.labels" . | nindent 2 }}
{{- with merge (deepCopy (default dict .annotations)) (deepCopy .root.Values.commonAnnotations) }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The name of a workload's service account; `account` is its section of the values, `name` its default. */ -}}
{{- define "goldwatch.serviceAccount" -}}
{{- if .account.create }}
{{- default .name .account.name }}
{{- else }}
{{- default "default" .account.name }}
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

{{- /* The name of a volume, which may have neither dots nor more than 63 characters, for what is called `name`. */ -}}
{{- define "goldwatch.volumeName" -}}
{{- $plain := printf "%s-%s" .kind .name }}
{{- if or (contains "." $plain) (gt (len $plain) 63) }}
{{- printf "%s-%s" ($plain | replace "." "-" | trunc 54 | trimSuffix "-") (sha256sum $plain | trunc 8) }}
{{- else }}
{{- $plain }}
{{- end }}
{{- end }}

{{- /* An image: `image` is the section of the values, `tag` its default. A registry replaces one that the repository begins with. */ -}}
{{- define "goldwatch.image" -}}
{{- $registry := default .root.Values.image.registry .root.Values.global.imageRegistry }}
{{- $repository := default .root.Values.image.repository .image.repository }}
{{- if $registry }}
{{- $repository = printf "%s/%s" (trimSuffix "/" $registry) (regexReplaceAll "^[^/]*[.:][^/]*/" $repository "") }}
{{- end }}
{{- if .image.digest }}
{{- printf "%s@%s" $repository .image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (default (default .root.Chart.AppVersion .tag) .image.tag) }}
{{- end }}
{{- end }}
