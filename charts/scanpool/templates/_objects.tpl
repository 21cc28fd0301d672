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

{{/*
Let the operator answer KEDA, if it is to, with the certificate of a Secret, if there is one.

  (list $ $pod)
*/}}
{{- define "scanpool.answersKeda" -}}
{{- $root := first . -}}
{{- $keda := $root.Values.kedaScaler | default dict -}}
{{- if and $keda.clientCertificates (not $keda.tlsSecretName) -}}
{{- fail "kedaScaler.clientCertificates needs kedaScaler.tlsSecretName" -}}
{{- end -}}
{{- if $keda.enabled -}}
{{- $pod := last . -}}
{{- $container := first $pod.containers -}}
{{- $service := include "scanpool.object" (dict "root" $root "path" "files/keda/service.yaml") | fromYaml -}}
{{- $port := int (first $service.spec.ports).port -}}
{{- $_ := set $container "ports" (append $container.ports (dict "name" "keda" "containerPort" $port)) -}}
{{- $args := list "--keda-port" (toString $port) -}}
{{- with $keda.tlsSecretName -}}
{{- $args = concat $args (list "--keda-tls" "/keda-tls") -}}
{{- if $keda.clientCertificates -}}
{{- $args = concat $args (list "--keda-client-ca" "/keda-tls/ca.crt") -}}
{{- end -}}
{{- $volume := dict "name" "keda-tls" "secret" (dict "secretName" .) -}}
{{- $_ := set $pod "volumes" (append ($pod.volumes | default list) $volume) -}}
{{- $mount := dict "name" "keda-tls" "mountPath" "/keda-tls" "readOnly" true -}}
{{- $_ := set $container "volumeMounts" (append ($container.volumeMounts | default list) $mount) -}}
{{- end -}}
{{- $_ := set $container "args" (concat $container.args $args) -}}
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
