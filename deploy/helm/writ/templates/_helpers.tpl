{{- define "writ.name" -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "writ.selector" -}}
app.kubernetes.io/name: writ
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "writ.labels" -}}
{{ include "writ.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "writ.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* What the chart decides, and over it what the values say. */ -}}
{{- define "writ.config" -}}
{{- $tls := dict -}}
{{- $own := dict
  "issuer" .Values.issuer
  "listen" "0.0.0.0:8443"
  "admin" (dict "listen" "0.0.0.0:8444" "url" (printf "https://%s-admin.%s.svc:8444" (include "writ.name" .) .Release.Namespace)
    "tls" (dict "certificate" "/run/writ/admin/tls.crt" "key" "/run/writ/admin/tls.key"))
  "database_file" "/run/writ/shared/database"
  "root_key" "/run/writ/shared/root.key"
  "data" "/var/lib/writ"
  "shutdown" (dict "delay" (printf "%ds" (int .Values.drainSeconds)))
-}}
{{- if .Values.tlsSecret -}}
{{- $_ := set $own "tls" (dict "certificate" "/run/writ/tls/tls.crt" "key" "/run/writ/tls/tls.key") -}}
{{- else -}}
{{- $_ := set $own "plain_http_behind" (required "set tlsSecret, or plainHTTPBehind to the addresses of the ingress that ends TLS" (.Values.plainHTTPBehind | default nil)) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $own (deepCopy .Values.config)) -}}
{{- end }}
