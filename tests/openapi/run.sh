#!/bin/sh
# Schemathesis against the demo: requests made from docs/openapi.json, as the admin address serves it, and answers held
# against it. Installs it below target/openapi once; later runs need no network. Bounded by the number of examples.
set -eu
cd "$(dirname "$0")/../.."

name=test-openapi
. tests/demo.sh
need cargo python3
mkdir -p "$target/openapi"
place=$(cd "$target/openapi" && pwd)
python_tools Schemathesis tests/openapi/requirements.txt "$place"

cargo build --quiet
start_demo
document=http://$(admin)/openapi.json

# Its own reports and caches belong below target, not beside the sources.
checks=status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance
checks=$checks,unsupported_method,no_fault_of_the_proxy,the_envelope_says_the_status
hooks=$PWD/tests/openapi
cd "$place"
VIDGATE_DEMO="$work/demo" PYTHONPATH="$hooks" PYTHONDONTWRITEBYTECODE=1 SCHEMATHESIS_HOOKS=hooks \
    "$place/venv/bin/schemathesis" run "$document" --url "http://$(proxy)" \
    --checks "$checks" --phases examples,coverage,fuzzing --mode all --max-examples "${EXAMPLES:-200}" \
    --generation-deterministic --request-timeout 20 --warnings off --no-color
