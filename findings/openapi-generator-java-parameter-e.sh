#!/usr/bin/env bash
# Expected: openapi-generator 7.18.0 makes Java code (library native) that compiles from any valid OpenAPI document. Seen: a path
# parameter named `e` becomes a Java parameter `e`, and the generated method has `catch (IOException e)`: "variable e is already
# defined". The same document with the parameter named `part` compiles.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
dependency() { printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>' "$@"; }
cat >pom.xml <<EOF
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>finding</groupId><artifactId>finding</artifactId><version>1</version><packaging>pom</packaging><dependencies>
$(dependency com.fasterxml.jackson.core jackson-databind 2.19.2)
$(dependency com.fasterxml.jackson.datatype jackson-datatype-jsr310 2.19.2)
$(dependency org.openapitools jackson-databind-nullable 0.2.8)
$(dependency com.google.code.findbugs jsr305 3.0.2)
$(dependency jakarta.annotation jakarta.annotation-api 1.3.5)
$(dependency org.apache.httpcomponents httpmime 4.5.14)
</dependencies></project>
EOF
plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1
mvn -q -B $plugin:copy-dependencies -DoutputDirectory=lib
mvn -q -B $plugin:copy -Dartifact=org.openapitools:openapi-generator-cli:7.18.0 -DoutputDirectory=cli
compile() { # the name of the parameter
	cat >"$1.json" <<EOF
{"openapi": "3.0.3", "info": {"title": "Tiles", "version": "1"}, "paths": {"/tile/{$1}": {"get": {"operationId": "getTile",
 "parameters": [{"name": "$1", "in": "path", "required": true, "schema": {"type": "string"}}], "responses": {"204": {"description": "None"}}}}}}
EOF
	java -jar cli/openapi-generator-cli-7.18.0.jar generate -g java --library native -i "$1.json" -o "out-$1" >/dev/null 2>&1
	if find "out-$1/src/main/java" -name '*.java' -exec javac -nowarn -cp 'lib/*' -d "classes-$1" {} + >"$1.log" 2>&1; then
		echo compiles
	else
		sed -n 's/.*error: \(variable e is already defined\).*/does not compile: \1/p' "$1.log" | head -1
	fi
}
one=$(compile part)
other=$(compile e)
echo "openapi-generator 7.18.0, $(javac --version), Java native:"
echo "  parameter part: $one"
echo "  parameter e: $other"
[[ $one == compiles && $other == "does not compile"* ]]
