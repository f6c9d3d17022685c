"""Writes crates/hemostat-core/src/bridge/fixtures: what the unmodified agents of the Python HemoStat publish.

    pip install redis==7.0.1 python-dotenv==1.2.1 python-json-logger==4.0.0 docker==7.1.0 requests==2.32.5
    redis-server --port 7791 --save "" &
    python3 scripts/bridge_fixtures.py PATH_OF_ITS_CHECKOUT 7791 crates/hemostat-core/src/bridge/fixtures

Only the engine is played; the Redis is emptied first. Times are those of the run, and the tests want them before 2027.
"""
import os, sys, json, types
CHECKOUT, PORT, OUT = sys.argv[1], int(sys.argv[2]), sys.argv[3]
sys.path.insert(0, CHECKOUT)
os.environ.update(REDIS_HOST='127.0.0.1', REDIS_PORT=str(PORT), AI_FALLBACK_ENABLED='false', SLACK_WEBHOOK_URL='')
import docker
docker.from_env = lambda *a, **k: types.SimpleNamespace()
import redis
from agents.hemostat_monitor.monitor import ContainerMonitor
import importlib, inspect
am = importlib.import_module('agents.hemostat_analyzer.analyzer')
Analyzer = [c for n,c in inspect.getmembers(am, inspect.isclass) if c.__module__==am.__name__][0]
from agents.hemostat_responder.responder import ContainerResponder
r = redis.Redis(port=PORT, decode_responses=True)
r.flushall()
ps = r.pubsub(); ps.psubscribe('hemostat:*'); 
def drain():
    out=[]
    while True:
        m = ps.get_message(timeout=0.3)
        if m is None: return out
        if m['type']=='pmessage': out.append((m['channel'], m['data']))
def save(name):
    for i,(ch,data) in enumerate(drain()):
        fn=f'{OUT}/{name}.json'
        open(fn,'w').write(json.dumps({'channel':ch,'message':json.loads(data)}, indent=2)+'\n'); print(fn)
def container(name, cid, status, state, cpu, mem, restarts=0):
    c = types.SimpleNamespace(name=name, short_id=cid, status=status, image=types.SimpleNamespace(tags=['registry.example/%s:1.4'%name]))
    c.attrs={'State':state,'RestartCount':restarts}
    total=10_000_000_000
    c.stats=lambda stream=False: {'cpu_stats':{'cpu_usage':{'total_usage':int(total*cpu/100)},'system_cpu_usage':total,'online_cpus':1},
      'precpu_stats':{'cpu_usage':{'total_usage':0},'system_cpu_usage':0},
      'memory_stats':{'usage':int(512*1024*1024*mem/100)+4096,'limit':512*1024*1024,'stats':{'inactive_file':4096}},
      'networks':{'eth0':{'rx_bytes':1024,'tx_bytes':2048}},
      'blkio_stats':{'io_service_bytes_recursive':[{'op':'Read','value':4096},{'op':'Write','value':8192}]}}
    return c
drain()
m=ContainerMonitor()
web=container('web','0123456789ab','exited',{'ExitCode':3},0,0)
m._check_container_health(web); save('health_alert_exited')
m._check_container_health(container('api','ba9876543210','running',{'ExitCode':0,'Health':{'Status':'unhealthy'}},96.5,72.25)); save('health_alert_running')
loop=container('loop','00112233aabb','running',{'ExitCode':0},1,1,9)
m._check_container_health(loop); save('health_alert_restarts')
health={}
a=Analyzer()
def fx(n): return json.load(open(f'{OUT}/{n}.json'))['message']
a._handle_health_alert(fx('health_alert_exited')); save('remediation_needed')
a._handle_health_alert(fx('health_alert_restarts')); save('false_alarm')
resp=ContainerResponder()
obj=types.SimpleNamespace(status='running', labels={}, restart=lambda timeout: None, reload=lambda: None)
resp.docker_client=types.SimpleNamespace(containers=types.SimpleNamespace(get=lambda n: obj))
need=fx('remediation_needed')
resp._handle_remediation_request(need); save('remediation_complete_success')
resp._handle_remediation_request(need); save('remediation_complete_cooldown')
r.delete('hemostat:state:remediation_history:web')
r.set('hemostat:state:circuit_breaker:web', json.dumps({'is_open':True,'retry_count':2,'failure_count':3}))
resp._handle_remediation_request(need); save('remediation_complete_breaker')
r.delete('hemostat:state:circuit_breaker:web')
from docker.errors import NotFound
def gone(n): raise NotFound('x')
resp.docker_client.containers.get=gone
resp._handle_remediation_request(need); save('remediation_complete_failed')
r.delete('hemostat:state:remediation_history:web')
resp.docker_client.containers.get=lambda n: obj
up=json.loads(json.dumps(need)); up['data']['action']='scale_up'
resp._handle_remediation_request(up); save('remediation_complete_not_applicable')
resp.dry_run=True
resp._handle_remediation_request(need); save('remediation_complete_dry_run')
