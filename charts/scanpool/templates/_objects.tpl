{{/*
The object of one file below files/, in the release's namespace, with its own and the common labels.
files/ holds what manifests/ and crds/ hold (`make chart`): an object is written down in one place.

  (dict "root" $ "path" "files/base/service.yaml")
*/}}
{{- define "scanpool.object" -}}
{{- $object := .root.Files.Get .path | fromYaml -}}
{{- if hasKey $object.metadata "namespace" -}}
{{- $_ := set $object.metadata "namespace" .root.Release.Namespace -}}
{{- end -}}
{{- with merge ($object.metadata.labels | default dict) (.root.Values.commonLabels | default dict) -}}
{{- $_ := set $object.metadata "labels" . -}}
{{- end -}}
{{- toYaml $object -}}
{{- end -}}

{{/*
Make an object one of a shard, if there is one: by its name, and by a label in the given places.

  (list $shard $object $labels ...)
*/}}
{{- define "scanpool.ofShard" -}}
{{- $shard := first . -}}
{{- if $shard -}}
{{- $object := index . 1 -}}
{{- $_ := set $object.metadata "name" (printf "%s-%s" $object.metadata.name $shard) -}}
{{- range $labels := slice . 2 -}}
{{- $_ := set $labels "scan.eco2.io/shard" $shard -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The image, by its digest where there is one. */}}
{{- define "scanpool.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}
