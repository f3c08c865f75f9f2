from airflow import DAG

with DAG("retrain_daily", schedule="@daily") as dag:
    pass
