import sys,time,torch,os,resource,statistics
sys.path.insert(0,'extensions')
from airoboros_gptq import load
from airoboros_gptq.bench.synthetic import synthetic_folder
from airoboros_gptq.bench.machine import file_into_memory_seconds,file_read_seconds
f=synthetic_folder('7b')
paths=list(f.glob('*.safetensors'))
os.sync()
def drop():
    for p in paths:
        fd=os.open(p,os.O_RDONLY); os.fsync(fd); os.posix_fadvise(fd,0,0,os.POSIX_FADV_DONTNEED); os.close(fd)
def once_read():
    b=bytearray(1<<24); t=time.time()
    for p in paths:
        with open(p,'rb',buffering=0) as h:
            while h.readinto(b): pass
    return time.time()-t
load(f,device='cpu',progress=lambda *a:None)
for dev in (sys.argv[1:] or ['cpu']):
  for threads in (2,8):
    torch.set_num_threads(threads)
    for i in range(3):
        r=file_read_seconds(paths); im=file_into_memory_seconds(paths)
        c=resource.getrusage(resource.RUSAGE_SELF); t=time.time()
        m=load(f,device=dev,progress=lambda *a:None)
        if dev!='cpu': torch.cuda.synchronize()
        l=time.time()-t; c2=resource.getrusage(resource.RUSAGE_SELF); del m
        drop(); cr=once_read(); drop(); t=time.time(); m=load(f,device=dev,progress=lambda *a:None); cl=time.time()-t; del m
        print(dev,threads,'read %.2f intomem %.2f load %.2f (x%.2f into) user %.1f sys %.1f | cold read %.2f cold load %.2f x%.2f'%(r,im,l,l/im,c2.ru_utime-c.ru_utime,c2.ru_stime-c.ru_stime,cr,cl,cl/cr),flush=True)
