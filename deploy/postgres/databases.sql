-- One database a service; each service creates its own tables as it starts.
create database crm;
create database finance;
create database hr;
create database marketing;
